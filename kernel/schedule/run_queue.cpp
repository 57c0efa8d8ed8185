// SPDX-License-Identifier: MIT
// The run queue's lists and the bitmap over them.
#include "kernel/schedule/run_queue.h"

#include "kernel/assert.h"

namespace annulus::kernel {

// The bookkeeping of a node that is about to enter lists_[node.priority].
void RunQueue::note_push(RunQueueNode& node) {
    const uint8_t priority = node.priority;
    kernel_assert(priority < abi::priority_count, "a priority that does not exist");
    kernel_assert(!node.linked(), "queued what is queued already");
    node.queued_priority_ = priority;
    node.queue_.store(this, std::memory_order_relaxed);
    occupied_.set(priority);
    count_.store(size() + 1, std::memory_order_relaxed);
}

void RunQueue::append(RunQueueNode& node) {
    note_push(node);
    lists_[node.queued_priority_].push_back(node);
}

void RunQueue::push_back(RunQueueNode& node) {
    settle();
    append(node);
}

void RunQueue::push_front(RunQueueNode& node) {
    settle();
    note_push(node);
    lists_[node.queued_priority_].push_front(node);
}

[[gnu::always_inline]] inline void RunQueue::take_out(RunQueueNode& node) {
    auto& list = lists_[node.queued_priority_];
    list.remove(node);
    if (list.empty()) occupied_.clear(node.queued_priority_);
    count_.store(size() - 1, std::memory_order_relaxed);
    node.queue_.store(nullptr, std::memory_order_relaxed);
}

void RunQueue::settle_next(const RunQueueNode& next) {
    const uint8_t priority = next.priority;
    occupied_.set(priority);
    // Acquire-release: the bit is seen by whoever finds nobody here any more, and as in settle().
    RunQueueNode* node = next_.exchange(nullptr, std::memory_order_acq_rel);
    if (node != nullptr) append(*node);
    if (lists_[priority].empty()) occupied_.clear(priority);
}

RunQueueNode* RunQueue::pop_highest() {
    settle();
    if (occupied_.empty()) return nullptr;
    RunQueueNode* node = lists_[occupied_.highest()].front();
    take_out(*node);
    return node;
}

void RunQueue::remove(RunQueueNode& node) {
    settle();
    kernel_assert(node.queue_.load(std::memory_order_relaxed) == this,
                  "took out of a run queue what is in none, or in another");
    take_out(node);
}

}  // namespace annulus::kernel
