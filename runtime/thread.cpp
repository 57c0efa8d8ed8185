// SPDX-License-Identifier: MIT
// Stacks, and the first and last steps of a thread.

#include "runtime/thread.h"

#include "abi/operations.h"
#include "base/align.h"
#include "runtime/image.h"
#include "runtime/program_heap.h"
#include "runtime/program_state.h"
#include "runtime/semaphore.h"

namespace annulus {

namespace thread_detail {

namespace {

// What the new thread finds at its stack's top.
struct Start {
    Entry entry;
    void* argument;
};

// The thread's first function. It is entered with the stack of a called function whose return
// address is 0, which ends backtraces.
void begin(const Start* start) {
    start->entry(start->argument);
    system::exit(0);
}

// Where kept stacks begin; 0: a free place. The handle of a kept stack's semaphore lies where its
// control block was.
constinit std::atomic<uint64_t> kept_stacks[kept_stacks_max];
constexpr uint64_t kept_size = ThreadOptions{}.stack_pages * abi::page_size;

uint64_t take_kept_stack() {
    for (std::atomic<uint64_t>& place : kept_stacks) {
        // Relaxed: most places are free. Acquire: pairs with the release in keep(), which comes
        // after all that was written to the stack.
        if (place.load(std::memory_order_relaxed) == 0) continue;
        if (const uint64_t begin = place.exchange(0, std::memory_order_acquire)) return begin;
    }
    return 0;
}

Result<uint64_t> map_stack(size_t pages) {
    // On demand: a stack costs what it uses. The kernel leaves unmapped pages below what it places,
    // so an overflow faults.
    const Memory memory = TRY(program_state.budget.create_memory(pages, abi::memory_on_demand));
    return program_state.process.map(memory, 0, pages * abi::page_size, 0,
                                     abi::map_read | abi::map_write);
}

// Safety: a stack's topmost words, which nobody uses while it is kept.
abi::Handle& kept_handle(uint64_t control) { return *reinterpret_cast<abi::Handle*>(control); }

}  // namespace

Stack::Stack(uint64_t begin, uint64_t size)
    : begin_(begin), size_(size), top_(begin + size - sizeof(ThreadControl)), control_(top_) {}

Result<Stack> Stack::create(size_t pages) {
    if (program_state.budget.empty() || program_state.process.empty()) return Error::not_granted;
    if (pages == 0 || pages > abi::memory_pages_max) return Status(Error::bad_argument);
    const uint64_t size = pages * abi::page_size;
    const uint64_t kept = size == kept_size ? take_kept_stack() : 0;
    Stack stack(kept != 0 ? kept : TRY(map_stack(pages)), size);
    if (kept != 0) stack.ended_ = Semaphore(kept_handle(stack.control_));
    if (stack.carve(annulus_thread_storage_size(), sizeof(ThreadControl)) == nullptr) {
        return Error::too_many;
    }
    // Safety: the control block and the storage below it were just carved from the new stack.
    prepare_thread_storage(reinterpret_cast<ThreadControl*>(stack.control_));
    return stack;
}

Stack::~Stack() {
    if (begin_ == 0 || keep()) return;
    static_cast<void>(program_state.process.map_unmap(begin_, size_));
}

bool Stack::keep() {
    if (size_ != kept_size || ended_.empty()) return false;
    kept_handle(control_) = ended_.value();
    for (std::atomic<uint64_t>& place : kept_stacks) {
        uint64_t free = 0;
        // Release: pairs with the acquire in take_kept_stack().
        if (place.compare_exchange_strong(free, begin_, std::memory_order_release,
                                          std::memory_order_relaxed)) {
            static_cast<void>(ended_.release());
            return true;
        }
    }
    return false;
}

Result<SemaphoreReference> Stack::ended() {
    if (ended_.empty()) {
        ended_ = TRY(program_state.budget.create_semaphore(abi::semaphore_counting, 0,
                                                           MemoryReference(), 0));
    }
    return SemaphoreReference(ended_);
}

void* Stack::carve(size_t bytes, size_t alignment) {
    const uint64_t lowest = begin_ + abi::page_size / 2;  // room for frames
    if (bytes > top_ - lowest) return nullptr;
    const uint64_t place = align_down(top_ - bytes, alignment);
    if (place < lowest) return nullptr;
    top_ = place;
    // Safety: the place lies in the stack's mapped pages.
    return reinterpret_cast<void*>(place);
}

}  // namespace thread_detail

Result<RunningThread> start_on_stack(thread_detail::Stack& stack, thread_detail::Entry entry,
                                     void* argument, const ThreadOptions& options) {
    TRY(prepare_heap_for_threads());
    void* place = stack.carve(sizeof(thread_detail::Start), 64);
    if (place == nullptr) return Error::too_many;
    new (place) thread_detail::Start{entry, argument};
    const SemaphoreReference ended = TRY(stack.ended());
    // 8 bytes below a multiple of 16, as after a call (x86-64 psABI 3.2.2); the word there is 0.
    const uint64_t stack_pointer = stack.top() - 8;
    auto created = program_state.process.create_thread(
        reinterpret_cast<uint64_t>(&thread_detail::begin), stack_pointer,
        reinterpret_cast<uint64_t>(place), stack.control(), options.priority, options.affinity);
    if (!created.ok()) return created.status();
    // Order: relaxed, only the end of the program looks at it.
    unjoined_threads.fetch_add(1, std::memory_order_relaxed);
    Thread thread = std::move(*created);
    // A thread that has ended already fires the watch at once.
    const auto watched = thread.watch_exit(ended);
    if (!watched.ok()) {
        // It runs, and nobody would learn when it is off its stack: the stack stays mapped.
        static_cast<void>(thread.remove_kill(0));
        stack.abandon();
        return watched.status();
    }
    return RunningThread(std::move(stack), ended, std::move(thread));
}

Result<void> RunningThread::join(Deadline deadline) {
    TRY(wait_for(ended_, deadline));
    thread_.close();
    unjoined_threads.fetch_sub(1, std::memory_order_relaxed);
    return {};
}

}  // namespace annulus
