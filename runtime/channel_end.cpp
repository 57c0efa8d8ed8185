// SPDX-License-Identifier: MIT
// Making, mapping and ending channels.
#include "runtime/channel_end.h"

#include "runtime/protocol.h"

namespace annulus {

using channel::Geometry;

Result<ChannelEnd::Made> ChannelEnd::create(Geometry geometry, const ChannelPlace& place) {
    if (place.budget.empty() || place.process.empty()) return Error::not_granted;
    if (!geometry.valid()) return Error::bad_argument;
    const uint64_t length = geometry.length();
    const Memory memory =
        TRY(place.budget.create_memory(length / abi::page_size, place.memory_flags));
    BudgetChannel ends = TRY(
        place.budget.create_channel(memory, 0, length, geometry.word(), channel::layout_version));
    const UntrustedBytes bytes = TRY(map(ends.first, length, place.process));
    return Made{
        ChannelEnd(std::move(ends.first), place.process, bytes, geometry, channel::Side::first),
        std::move(ends.second)};
}

Result<Geometry> ChannelEnd::geometry_of(ChannelReference end, channel::Structure structure) {
    TRY(check_type(end, abi::ObjectType::channel));
    const ChannelGeometry fixed = TRY(end.get_geometry());
    const auto geometry = Geometry::from_word(static_cast<uint32_t>(fixed.structure));
    if (!geometry || geometry->structure != structure ||
        !channel::agrees(*geometry, fixed.length, static_cast<uint32_t>(fixed.structure),
                         static_cast<uint32_t>(fixed.version))) {
        return Error::wrong_version;
    }
    return *geometry;
}

Result<ChannelEnd> ChannelEnd::attach(Channel& end, channel::Structure structure,
                                      const ChannelPlace& place) {
    if (place.process.empty()) return Error::not_granted;
    const Geometry geometry = TRY(geometry_of(end, structure));
    const uint64_t number = TRY(end.get_geometry()).end;
    const UntrustedBytes bytes = TRY(map(end, geometry.length(), place.process));
    return ChannelEnd(std::move(end), place.process, bytes, geometry,
                      static_cast<channel::Side>(number));
}

Result<UntrustedBytes> ChannelEnd::map(ChannelReference end, uint64_t length,
                                       ProcessReference process) {
    const Memory memory = TRY(end.get_memory());
    const uint64_t address = TRY(process.map(memory, 0, length, 0, abi::map_read | abi::map_write));
    // Safety: it was just mapped there, and stays until the end's owner goes. The memory cannot
    // shrink and is pinned.
    return UntrustedBytes::at_address(reinterpret_cast<void*>(address), length);
}

ChannelEnd::~ChannelEnd() {
    if (memory_.empty()) return;
    static_cast<void>(process_.map_unmap(memory_.address(), memory_.size()));
}

Result<void> ChannelEnd::state() const {
    const ChannelState now = TRY(end_.get_state());
    if (now.faulted != 0) return Status(Error::faulted, 0, static_cast<uint32_t>(now.reason));
    if (now.closed != 0) return Error::closed;
    return {};
}

Status ChannelEnd::refuse(channel::Fault fault) {
    const auto reason = static_cast<uint32_t>(fault);
    if (!std::exchange(fault_reported_, true)) shut_down(reason);
    return Status(Error::faulted, 0, reason);
}

}  // namespace annulus
