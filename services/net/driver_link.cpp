// SPDX-License-Identifier: MIT
// The packet queues to a network driver.
#include "services/net/driver_link.h"

#include "abi/operations.h"

#include <algorithm>
#include <new>

namespace annulus::net {
namespace {

// 256 frames each way: several round trips of all windows of a busy server.
constexpr auto geometry = channel::packets_geometry(8, 11);
constexpr unsigned batch_max = 64;

}  // namespace

Result<std::unique_ptr<DriverLink>> DriverLink::attach(PacketInterface driver, Deadline deadline,
                                                       SetReference events, uint64_t key) {
    const auto info = TRY(driver.info());
    auto made = TRY(PacketChannel::create(geometry, {.memory_flags = abi::memory_contiguous}));
    Served attachment = TRY(driver.attach(made.theirs, deadline));
    std::unique_ptr<DriverLink> link(
        new (std::nothrow) DriverLink(events, std::move(made.mine), std::move(attachment), info));
    if (link == nullptr) return Error::no_memory;
    TRY(events.create_member(link->packets_.end().end(), key, 0));
    return link;
}

DriverLink::~DriverLink() { static_cast<void>(events_.remove_member(packets_.end().end())); }

HardwareAddress DriverLink::hardware_address() const {
    HardwareAddress address;
    std::copy(std::begin(info_.address), std::end(info_.address), address.begin());
    return address;
}

bool DriverLink::send(std::span<const FramePart> parts) {
    auto& sender = packets_.sender();
    const auto buffer = sender.acquire();
    if (!buffer) return false;
    uint32_t length = 0;
    for (const FramePart part : parts) {
        if (!buffer->bytes.store(length, part)) {
            sender.put_back(buffer->number);
            return false;
        }
        length += static_cast<uint32_t>(part.size());
    }
    sender.send(
        {.buffer = buffer->number, .offset = 0, .length = length, .flags = 0, .metadata = {}});
    return true;
}

// The copy into the stack's memory is the freeze: the driver cannot change what is looked at.
bool DriverLink::receive(Interface& interface) {
    auto& receiver = packets_.receiver();
    for (unsigned i = 0; i < batch_max; i++) {
        const auto packet = receiver.receive();
        if (!packet) return false;
        const auto space = interface.receive_space(packet->descriptor.length);
        const bool copied = !space.empty() && packet->bytes.freeze(0, space);
        receiver.release(packet->descriptor.buffer);
        if (copied) interface.receive();
    }
    return true;
}

void DriverLink::publish(Interface& interface) {
    auto& sender = packets_.sender();
    if (interface.lacks_room() && sender.collect() > 0) interface.send_waiting();
    sender.publish();
}

channel::Wait DriverLink::prepare_wait(const Interface& interface) {
    if (interface.lacks_room()) return packets_.prepare_wait();
    return packets_.receiver().prepare_wait();
}

Result<void> DriverLink::check() {
    TRY(packets_.check());
    return packets_.end().state();
}

}  // namespace annulus::net
