// SPDX-License-Identifier: MIT
// One end of a channel with packet queues.
#include "runtime/packet_channel.h"

#include "abi/operations.h"
#include "runtime/program_state.h"

#include <new>

namespace annulus {

Result<std::unique_ptr<PacketChannel>> PacketChannel::map(Channel end, channel::Geometry geometry,
                                                          channel::Side side) {
    const ProcessReference process = program_state.process;
    const Memory memory = TRY(end.get_memory());
    const uint64_t length = geometry.length();
    const uint64_t address = TRY(process.map(memory, 0, length, 0, abi::map_read | abi::map_write));
    // Safety: the kernel has just mapped these bytes; the object keeps them mapped.
    const auto bytes =
        UntrustedBytes::at_address(reinterpret_cast<void*>(address), static_cast<size_t>(length));
    const auto packets = Packets::attach(bytes, geometry, side, PeerBell{end.value()});
    std::unique_ptr<PacketChannel> made;
    if (packets) {
        made.reset(new (std::nothrow)
                       PacketChannel(std::move(end), geometry, side, address, *packets));
    }
    if (made == nullptr) {
        static_cast<void>(process.map_unmap(address, length));
        return packets ? Error::no_memory : Error::wrong_version;
    }
    return made;
}

Result<PacketChannel::Made> PacketChannel::create(channel::Geometry geometry) {
    const BudgetReference budget = program_state.budget;
    if (budget.empty() || program_state.process.empty()) return Error::not_granted;
    if (geometry.structure != channel::Structure::packets || !geometry.valid()) {
        return Error::wrong_version;
    }
    const uint64_t length = geometry.length();
    const Memory memory =
        TRY(budget.create_memory(length / abi::page_size, abi::memory_contiguous));
    auto ends =
        TRY(budget.create_channel(memory, 0, length, geometry.word(), channel::layout_version));
    auto own = TRY(map(std::move(ends.first), geometry, channel::Side::first));
    return Made{std::move(own), std::move(ends.second)};
}

Result<std::unique_ptr<PacketChannel>> PacketChannel::attach(Channel end) {
    if (program_state.process.empty()) return Error::not_granted;
    const auto words = TRY(end.get_geometry());
    const auto geometry = channel::Geometry::from_word(static_cast<uint32_t>(words.structure));
    if (!geometry || geometry->structure != channel::Structure::packets ||
        !channel::agrees(*geometry, words.length, static_cast<uint32_t>(words.structure),
                         static_cast<uint32_t>(words.version))) {
        return Error::wrong_version;
    }
    const auto side = words.end == 0 ? channel::Side::first : channel::Side::second;
    return map(std::move(end), *geometry, side);
}

PacketChannel::~PacketChannel() {
    static_cast<void>(program_state.process.map_unmap(address_, geometry_.length()));
}

bool PacketChannel::ended() const {
    const auto state = end_.get_state();
    return !state.ok() || state->closed != 0 || state->faulted != 0;
}

bool PacketChannel::check_fault() {
    const channel::Fault fault = packets_.fault();
    if (fault == channel::Fault::none) return false;
    static_cast<void>(end_.shutdown_fault(static_cast<uint64_t>(fault)));
    return true;
}

}  // namespace annulus
