// SPDX-License-Identifier: MIT
// A connection whose bytes go through memory that is shared with its client.
#include "services/net/stack/connection.h"

namespace annulus::net {
namespace {

// The client may write while its bytes are moved; then others get their turn.
constexpr unsigned rounds_max = 4;

uint32_t at_most(size_t count, const auto& writer) {
    return static_cast<uint32_t>(std::min<size_t>(count, writer.capacity()));
}

// Puts as much as there is room for into the stream, unpublished; answers how much.
size_t put(ClientStream::Writer& writer, std::span<const std::byte> bytes) {
    size_t done = 0;
    while (done < bytes.size()) {
        const UntrustedBytes room = writer.reserve(at_most(bytes.size() - done, writer));
        const size_t count = std::min(room.size(), bytes.size() - done);
        if (count == 0 || !room.store(0, bytes.subspan(done, count))) break;
        writer.commit(static_cast<uint32_t>(count));
        done += count;
    }
    return done;
}

}  // namespace

Outcome Connection::share(const Call& call) {
    if (call.brought == nullptr) return Status(Error::bad_argument, 0);
    if (stream_ != nullptr || !reads_.empty() || !writes_.empty()) return Error::busy;
    if (pcb_ == nullptr) return reason();
    auto stream = take_channel(owner_, *this, *call.brought);
    if (!stream.ok()) return stream.status();
    take_stream(std::move(stream).value());
    return Outcome();
}

void Connection::take_stream(std::unique_ptr<ClientStream> stream) {
    stream_ = std::move(stream);
    stream_->set_user(this);
    client_rang();
}

void Connection::client_rang() {
    rung_ = true;
    owner_.note_work(*this);
}

// Keeps bytes that arrived. The stream's client sees them when work() has published them.
void Connection::keep(std::span<const std::byte> bytes) {
    if (stream_ != nullptr) {
        owner_.note_work(*this);
        if (buffer_.size() == 0) {
            const size_t count = put(stream_->to_client(), bytes);
            handed_over_ += count;
            bytes = bytes.subspan(count);
        }
    }
    buffer_.append(bytes);
}

// Moves what can be moved, and asks the client to ring for the rest.
void Connection::move_bytes() {
    for (unsigned round = 0; round < rounds_max; round++) {
        give_to_client();
        const bool took_all = take_from_client();
        switch (ask_client(took_all)) {
            case channel::Wait::faulted:
                return refuse_client(static_cast<uint32_t>(stream_->fault()));
            case channel::Wait::ready: break;
            case channel::Wait::sleep:
                if (look_after_client()) return;
                break;
        }
        if (stream_ == nullptr) return;
    }
    owner_.note_work(*this);
}

void Connection::give_to_client() {
    ClientStream::Writer& writer = stream_->to_client();
    while (buffer_.size() != 0) {
        const size_t count = put(writer, buffer_.front());
        if (count == 0) break;
        buffer_.consume(count);
        handed_over_ += count;
    }
    writer.publish();
    const size_t room = std::exchange(handed_over_, 0);
    if (room != 0 && pcb_ != nullptr) tcp_recved(pcb_, static_cast<u16_t>(room));
    if (buffer_.size() != 0) return;
    if ((peer_ended_ || discards_) && !writer.finished()) writer.finish();
    if (pcb_ == nullptr && error_ != Error::ok) {
        stream_->shut_down(error_ == Error::timed_out ? abi::net_stream_timed_out
                                                      : abi::net_stream_reset);
    }
}

// False: lwIP has no room for what is left, and will tell when it has.
bool Connection::take_from_client() {
    ClientStream::Reader& reader = stream_->from_client();
    bool wrote = false;
    bool took_all = false;
    while (pcb_ != nullptr && !send_ended_) {
        const UntrustedBytes bytes = reader.peek();
        if (bytes.empty()) {
            took_all = true;
            if (reader.ended() || (send_ending_ && reader.fault() == channel::Fault::none)) {
                end_sending();
            }
            break;
        }
        // Safety: the run stays mapped as long as the stream. lwIP copies each of its bytes once
        // and looks at the copy alone.
        const auto* begin = reinterpret_cast<const std::byte*>(bytes.address());
        const size_t count = send_some({begin, bytes.size()});
        if (count == 0) {
            // Nothing on its way means that no acknowledgement will give the next try.
            if (unacknowledged_ == 0) owner_.want_retry();
            break;
        }
        reader.release(static_cast<uint32_t>(count));
        wrote = true;
    }
    reader.publish();
    if (wrote) tcp_output(pcb_);
    return took_all;
}

// Sleep: the client rings when there is something to do, or lwIP tells of it. To look at the stream
// here and to ask only if it is empty would be wrong: what came since `took_all` would be left.
channel::Wait Connection::ask_client(bool took_all) {
    if (stream_->fault() != channel::Fault::none) return channel::Wait::faulted;
    channel::Wait wait = channel::Wait::sleep;
    if (pcb_ != nullptr && !send_ended_ && took_all) wait = stream_->from_client().prepare_wait();
    if (buffer_.size() != 0) wait = std::max(wait, stream_->to_client().prepare_wait());
    return wait;
}

// After a bell: is the client still there? True: there is nothing to do now.
bool Connection::look_after_client() {
    if (!std::exchange(rung_, false)) return true;
    switch (stream_->client()) {
        case ClientStream::Client::there: return true;
        case ClientStream::Client::broken:
            refuse_client(static_cast<uint32_t>(channel::Fault::none));
            return true;
        case ClientStream::Client::gone: break;
    }
    // What it wrote before it went may have come since the last look.
    drop_received();
    if (send_ending_) return true;
    send_ending_ = true;
    return false;
}

// The client has broken the rules, or shut the channel down: the connection is reset.
void Connection::refuse_client(uint32_t reason) {
    stream_->shut_down(reason);
    stream_.reset();
    detach(true);
    buffer_.consume(buffer_.size());
    error_ = Error::faulted;
    end(Error::faulted);
}

}  // namespace annulus::net
