// SPDX-License-Identifier: MIT
// Fuzz target of the kernel's account of a ring: whatever the client writes, every place that is
// handed out is free, and nothing is accepted without room for its completion.
#include "kernel/object/ring_queue.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cstdlib>

namespace {

void require(bool condition) {
    if (!condition) abort();
}

// The same account, kept in another way: 64-bit indices that never wrap.
struct Model {
    uint64_t taken = 0;
    uint64_t completed = 0;
    uint64_t read = 0;
};

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1) return 0;
    const uint32_t entries = 1u << data[0] % 11;
    annulus::kernel::RingQueue queue(entries);
    Model model;
    for (size_t at = 1; at + 5 <= size; at += 5) {
        uint32_t value;
        memcpy(&value, data + at + 1, sizeof(value));
        uint32_t submitted = 0;
        switch (data[at] % 4) {
            case 0:
                if (!queue.submitted(value, submitted)) break;
                require(submitted <= entries);
                if (data[at] & 4) {  // complete as they are taken
                    const uint32_t count = submitted < queue.room() ? submitted : queue.room();
                    queue.pass(count);
                    model.taken += count;
                    model.completed += count;
                    break;
                }
                for (; submitted > 0 && queue.room() != 0; --submitted) {
                    require(model.taken - model.read < entries);
                    require(queue.take() == model.taken++ % entries);
                }
                break;
            case 1:
                for (uint32_t i = value % 64; i > 0 && queue.in_flight() > 0; --i) {
                    require(queue.complete() == model.completed++ % entries);
                }
                break;
            case 2:
                if (queue.note_read(value)) {
                    const uint32_t step = value - static_cast<uint32_t>(model.read);
                    require(step <= model.completed - model.read);
                    model.read += step;
                }
                break;
            default:
                require(queue.note_read(queue.completion_tail()));
                model.read = model.completed;
                break;
        }
        require(queue.in_flight() == model.taken - model.completed);
        require(queue.unread() == model.completed - model.read);
        require(queue.in_flight() + queue.unread() <= entries);
        require((queue.room() != 0) == (model.taken - model.read < entries));
    }
    return 0;
}
