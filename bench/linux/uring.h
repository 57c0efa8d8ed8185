// SPDX-License-Identifier: MIT
// io_uring by its system calls, as much as the comparison needs (io_uring(7)).
#pragma once

#include "bench/linux/measure.h"

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <span>

namespace annulus::bench {

class Uring {
public:
    explicit Uring(unsigned entries) {
        io_uring_params params = {};
        ring_ =
            static_cast<int>(must("io_uring_setup", syscall(SYS_io_uring_setup, entries, &params)));
        const size_t submissions = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
        const size_t completions = params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe);
        auto* queues = map(std::max(submissions, completions), IORING_OFF_SQ_RING);
        entries_ = reinterpret_cast<io_uring_sqe*>(
            map(params.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
        tail_ = word(queues, params.sq_off.tail);
        array_ = reinterpret_cast<uint32_t*>(queues + params.sq_off.array);
        mask_ = params.sq_entries - 1;
        done_head_ = word(queues, params.cq_off.head);
        done_tail_ = word(queues, params.cq_off.tail);
        done_ = reinterpret_cast<io_uring_cqe*>(queues + params.cq_off.cqes);
        done_mask_ = params.cq_entries - 1;
        for (uint32_t i = 0; i < params.sq_entries; ++i) array_[i] = i;
    }
    Uring(const Uring&) = delete;
    Uring& operator=(const Uring&) = delete;
    ~Uring() { close(ring_); }

    // Files from 0 on, and buffer 0, of the entries that name them by number.
    void fix(std::span<const int> files, void* memory, size_t size) const {
        must("io_uring_register", syscall(SYS_io_uring_register, ring_, IORING_REGISTER_FILES,
                                          files.data(), files.size()));
        const iovec buffer = {memory, size};
        must("io_uring_register",
             syscall(SYS_io_uring_register, ring_, IORING_REGISTER_BUFFERS, &buffer, 1));
    }

    // The next entry, zeroed. The caller fills it in before submit().
    io_uring_sqe& prepare() {
        io_uring_sqe& entry = entries_[(next_++) & mask_];
        entry = {};
        return entry;
    }

    // Submits what was prepared, and waits for as many completions as there are entries.
    void submit_and_reap() {
        submit_and_tell(next_ - tail_->load(std::memory_order_relaxed),
                        [](uint64_t /*entry*/, int result) {
                            if (result < 0) fail("an io_uring operation");
                        });
    }

    // Submits what was prepared, if anything was, and waits until `wanted` entries are complete.
    void submit(unsigned wanted) {
        const uint32_t count = next_ - tail_->load(std::memory_order_relaxed);
        if (count == 0 && wanted == 0) return;
        tail_->store(next_, std::memory_order_release);
        must("io_uring_enter", syscall(SYS_io_uring_enter, ring_, count, wanted,
                                       wanted == 0 ? 0 : IORING_ENTER_GETEVENTS, nullptr, 0));
    }
    // Tells `each(user_data, result)` of all entries that are complete.
    template <typename Each>
    void tell(Each each) {
        uint32_t head = done_head_->load(std::memory_order_relaxed);
        const uint32_t tail = done_tail_->load(std::memory_order_acquire);
        for (; head != tail; ++head) {
            const io_uring_cqe& done = done_[head & done_mask_];
            each(done.user_data, done.res);
        }
        done_head_->store(head, std::memory_order_release);
    }
    template <typename Each>
    void submit_and_tell(unsigned wanted, Each each) {
        submit(wanted);
        tell(each);
    }
    int descriptor() const { return ring_; }

private:
    uint8_t* map(size_t bytes, uint64_t what) const {
        void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                            ring_, static_cast<off_t>(what));
        if (memory == MAP_FAILED) fail("mmap of a ring");
        return static_cast<uint8_t*>(memory);
    }
    static std::atomic<uint32_t>* word(uint8_t* queues, uint32_t offset) {
        return reinterpret_cast<std::atomic<uint32_t>*>(queues + offset);
    }

    int ring_ = -1;
    io_uring_sqe* entries_ = nullptr;
    uint32_t* array_ = nullptr;
    uint32_t mask_ = 0;
    uint32_t next_ = 0;
    std::atomic<uint32_t>* tail_ = nullptr;
    std::atomic<uint32_t>* done_head_ = nullptr;
    std::atomic<uint32_t>* done_tail_ = nullptr;
    io_uring_cqe* done_ = nullptr;
    uint32_t done_mask_ = 0;
};

}  // namespace annulus::bench
