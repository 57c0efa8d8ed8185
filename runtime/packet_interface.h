// SPDX-License-Identifier: MIT
// Network interfaces behind a handle, by synchronous calls. The protocol is abi/packet.h.
#pragma once

#include "abi/packet.h"
#include "base/result.h"
#include "generated/objects.h"
#include "runtime/deadline.h"

namespace annulus {

// Names a served object that knows abi/packet.h. Does not own the handle.
class PacketInterface : public ServedReference {
public:
    using Reference = PacketInterface;
    using ServedReference::ServedReference;

    Result<abi::PacketInterfaceInfo> info() const;
    Result<abi::PacketStatistics> statistics() const;
    // `semaphore` gets one unit when the link goes up or down; a duplicate moves to the server.
    Result<void> watch_link(SemaphoreReference semaphore) const;

    // Hands over the peer's end of a PacketChannel (runtime/channel.h), made with
    // abi::memory_contiguous; after an error it is as settle_moved() says. The result is the
    // attachment: its close detaches. Tries until `deadline` while there is another client, which
    // may just be dying; then busy.
    Result<Served> attach(Channel& peer, Deadline deadline = Deadline::poll()) const;
};

}  // namespace annulus
