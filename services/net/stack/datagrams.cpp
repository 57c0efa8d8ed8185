// SPDX-License-Identifier: MIT
// A UDP socket.
#include "services/net/stack/datagrams.h"

#include <new>

#include "abi/stream.h"

namespace annulus::net {

Datagrams::~Datagrams() {
    if (pcb_ != nullptr) udp_remove(pcb_);
    if (listed_) owner_.remove(*this, Kind::datagrams);
}

Error Datagrams::create(SocketOwner& owner, std::string_view host, uint16_t port,
                        Datagrams*& socket) {
    auto* made = new (std::nothrow) Datagrams(owner);
    if (made == nullptr) return Error::no_memory;
    Error error = owner.add(*made, Kind::datagrams);
    made->listed_ = error == Error::ok;
    if (error == Error::ok) error = made->open(host, port);
    if (error != Error::ok) {
        delete made;
        return error;
    }
    socket = made;
    return Error::ok;
}

Error Datagrams::open(std::string_view host, uint16_t port) {
    pcb_ = udp_new();
    if (pcb_ == nullptr) return Error::limit;
    if (host.empty()) {
        if (udp_bind(pcb_, IP_ANY_TYPE, port) != ERR_OK) return Error::exists;
    } else {
        const auto address = parse_address(host);
        if (!address.has_value()) return Error::no_route;
        const ip_addr_t to = IPADDR4_INIT(lwip_htonl(*address));
        // From then on lwIP drops what comes from others.
        if (udp_connect(pcb_, &to, port) != ERR_OK) return Error::no_route;
        peer_ = abi::peer_word(*address, port);
    }
    udp_recv(pcb_, received, this);
    return Error::ok;
}

Outcome Datagrams::handle(const Call& call) {
    if (call.is(abi::Verb::read, abi::stream_read)) return read(call);
    if (call.is(abi::Verb::write, abi::stream_write)) return write(call);
    if (call.is(abi::Verb::get, abi::net_get)) {
        const uint32_t address = lwip_ntohl(ip4_addr_get_u32(&pcb_->local_ip));
        return answer_record(call, abi::DatagramState{abi::peer_word(address, pcb_->local_port),
                                                      peer_, received_, dropped_});
    }
    return Error::bad_operation;
}

Outcome Datagrams::read(const Call& call) {
    if (call.words[0] != 0) return Status(Error::bad_argument, 0);
    // A part of a datagram would be worth nothing.
    if (call.space.size() < abi::net_datagram_bytes_max) return Error::out_of_range;
    if (reads_.full()) return Error::limit;
    reads_.add(call);
    owner_.note_deadline(call.deadline);
    answer_reads();
    return Outcome::later();
}

void Datagrams::answer_reads() {
    while (!reads_.empty() && count_ > 0) {
        const PendingCall read = reads_.take_first();
        const Datagram& datagram = kept_[first_];
        std::copy_n(datagram.data.begin(), datagram.bytes, read.space.begin());
        Outcome outcome = Outcome::with_bytes(datagram.bytes);
        outcome.words[0] = datagram.sender;
        if (!owner_.answers().answer(read.id, outcome)) continue;
        first_ = (first_ + 1) % kept_max;
        count_--;
    }
}

Outcome Datagrams::write(const Call& call) {
    if (call.bytes.size() > abi::net_datagram_bytes_max) return Error::limit;
    const uint64_t to = call.words[0] != 0 ? call.words[0] : peer_;
    if (to == 0 || to >> 48 != 0) return Status(Error::bad_argument, 0);
    // A socket for one peer reaches no other.
    if (peer_ != 0 && to != peer_) return Error::not_granted;
    pbuf* const packet =
        pbuf_alloc(PBUF_TRANSPORT, static_cast<u16_t>(call.bytes.size()), PBUF_RAM);
    if (packet == nullptr) return Error::no_memory;
    static_cast<void>(pbuf_take(packet, call.bytes.data(), static_cast<u16_t>(call.bytes.size())));
    const ip_addr_t address = IPADDR4_INIT(lwip_htonl(abi::peer_address(to)));
    const err_t error = udp_sendto(pcb_, packet, &address, abi::peer_port(to));
    pbuf_free(packet);
    if (error == ERR_RTE) return Error::no_route;
    if (error != ERR_OK) return Error::no_memory;
    return Outcome::with_word(call.bytes.size());
}

void Datagrams::received(void* self, udp_pcb* /*pcb*/, pbuf* packet, const ip_addr_t* from,
                         uint16_t port) {
    auto& socket = *static_cast<Datagrams*>(self);
    if (socket.count_ == kept_max || packet->tot_len > abi::net_datagram_bytes_max) {
        socket.dropped_++;
    } else {
        Datagram& datagram = socket.kept_[(socket.first_ + socket.count_++) % kept_max];
        datagram.sender = abi::peer_word(lwip_ntohl(ip4_addr_get_u32(from)), port);
        datagram.bytes = pbuf_copy_partial(packet, datagram.data.data(), packet->tot_len, 0);
        socket.received_++;
        socket.answer_reads();
    }
    pbuf_free(packet);
}

abi::Rights Datagrams::rights() const {
    return abi::right_of(abi::Verb::read) | abi::right_of(abi::Verb::write) |
           abi::right_of(abi::Verb::get);
}

void Datagrams::closed() {
    reads_.answer_all(owner_.answers(), Error::closed);
    delete this;
}

uint64_t Datagrams::expire(uint64_t now) { return reads_.expire(owner_.answers(), now); }

}  // namespace annulus::net
