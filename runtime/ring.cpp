// SPDX-License-Identifier: MIT
// Rings: making one, and the system call.
#include "runtime/ring.h"

#include "abi/operations.h"
#include "runtime/system_call.h"

namespace annulus {

Result<ClientRing> ClientRing::create(BudgetReference budget, ProcessReference process,
                                      uint32_t entries, uint32_t allowed) {
    const uint64_t pages = (abi::ring_bytes(entries) + abi::page_size - 1) / abi::page_size;
    const uint64_t size = pages * abi::page_size;
    const Memory memory = TRY(budget.create_memory(pages, 0));
    Ring ring = TRY(budget.create_ring(entries, memory, 0, allowed));
    const uint64_t begin = TRY(process.map(memory, 0, size, 0, abi::map_read | abi::map_write));
    // Safety: the queues' memory was just mapped there.
    const RingQueues queues(reinterpret_cast<std::byte*>(begin), entries);
    return ClientRing(process, std::move(ring), queues, size);
}

ClientRing::ClientRing(ClientRing&& other)
    : process_(other.process_),
      ring_(std::move(other.ring_)),
      queues_(other.queues_),
      mapped_(std::exchange(other.mapped_, 0)) {}

ClientRing::~ClientRing() {
    ring_.close();
    if (mapped_ == 0) return;
    // Safety: nobody else was handed the address.
    static_cast<void>(process_.map_unmap(reinterpret_cast<uint64_t>(queues_.begin()), mapped_));
}

Result<abi::CompletionEntry> ClientRing::take(Deadline deadline) {
    abi::CompletionEntry completion;
    if (queues_.next(completion)) return completion;
    const auto answer = system::enter(ring_.value(), abi::enter_only_waits | 1, deadline.at);
    if (!answer.status.ok()) return answer.status;
    if (!queues_.next(completion)) return Error::try_again;
    return completion;
}

}  // namespace annulus
