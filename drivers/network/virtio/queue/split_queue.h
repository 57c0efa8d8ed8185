// SPDX-License-Identifier: MIT
// A split virtqueue (virtio 1.2, 2.7): buffers that go to a device and come back.
//
// The queue lies in memory that the driver shares with the device alone. The device is not trusted:
// what it writes (the used ring, headers) is read once, and every index, id and length is checked
// against private state. The first one that is wrong trips `faulted()`, and nothing is taken any
// more; the device must be reset then.
//
// Each buffer is a chain of two descriptors: a header of the queue's own, and the payload wherever
// it lies. Slot i owns descriptors 2i and 2i + 1 and header i. One thread.
//
//   descriptors | available ring | used ring | headers        see layout()
//
// Wake-ups, with the event index (VIRTIO_F_EVENT_IDX): each side writes down at which index it
// wants to be told, then looks again; the other publishes, then reads that. A full fence lies
// between the two steps on each side, as in channel/wake.h. Without the event index flags say it,
// and this side asks for every interrupt.
#pragma once

#include "base/untrusted.h"

#include <stdint.h>

#include <array>
#include <optional>

namespace annulus::virtio {

inline constexpr uint32_t queue_size_max = 256;  // descriptors
inline constexpr uint32_t queue_size_min = 4;
inline constexpr uint32_t header_size = 12;  // of a network packet (5.1.6)

// Who writes to a buffer.
enum class Access : uint8_t { device_reads, device_writes };

class SplitQueue {
public:
    struct Layout {
        uint64_t available;  // descriptors are at 0
        uint64_t used;
        uint64_t headers;
        uint64_t length;
    };
    static constexpr Layout layout(uint32_t size) {
        // Two bytes for the event index follow each ring; both are written as whole words.
        const uint64_t available = size * descriptor_size;
        const uint64_t used = align_up(available + ring_header + size * uint64_t{2} + 4, line);
        const uint64_t headers = align_up(used + ring_header + size * uint64_t{8} + 4, line);
        return {available, used, headers, headers + size / 2 * header_stride};
    }

    // An empty queue in `memory`, which is zeroed here. `size` is a power of two from
    // queue_size_min to queue_size_max. Nothing if it is not, or if the memory is too small or not
    // aligned to 16 bytes. `physical` is the address of the memory for the device.
    static std::optional<SplitQueue> create(UntrustedBytes memory, uint64_t physical, uint32_t size,
                                            Access access, bool event_index);

    uint32_t size() const { return size_; }
    uint32_t slots() const { return size_ / 2; }
    uint32_t free_slots() const { return free_count_; }
    uint32_t in_flight() const { return slots() - free_count_; }
    bool faulted() const { return faulted_; }

    // Gives a buffer to the device with the next publish(). There is a free slot. `token` comes
    // back with it.
    void add(uint32_t token, uint64_t physical, uint32_t length);

    // Makes added buffers visible. True: the device wants to be notified.
    [[nodiscard]] bool publish();

    struct Done {
        uint32_t token;
        uint32_t length;  // bytes of payload that the device wrote
    };
    // A buffer that the device has finished with; nothing if there is none, or after a fault.
    std::optional<Done> take();

    // Asks for an interrupt when `wanted` more buffers are done. True: none is done now, sleep.
    [[nodiscard]] bool prepare_wait(uint32_t wanted = 1);
    // Asks for no interrupt until the next prepare_wait(). Without the event index some may come.
    void prepare_no_wake();

private:
    struct Descriptor {
        uint64_t address;
        uint32_t length;
        uint16_t flags;
        uint16_t next;
    };
    struct UsedElement {
        uint32_t id;
        uint32_t length;
    };
    struct Slot {
        uint32_t token = 0;
        uint32_t length = 0;
        bool in_flight = false;
    };

    static constexpr uint64_t descriptor_size = 16;
    static constexpr uint64_t ring_header = 4;  // flags and index, one word
    static constexpr uint64_t header_stride = 16;
    static constexpr uint64_t line = 64;

    struct Words {
        UntrustedArray<Descriptor> descriptors;
        UntrustedArray<uint16_t> available;
        UntrustedArray<UsedElement> used;
        UntrustedAtomic<uint32_t> available_word;  // flags | index << 16; ours
        UntrustedAtomic<uint32_t> used_word;       // the same; the device's
        UntrustedAtomic<uint32_t> wake_us;         // at which used index; ours
        UntrustedAtomic<uint32_t> wake_device;     // at which available index; the device's
    };

    SplitQueue(const Words& words, uint64_t headers, uint32_t size, Access access, bool event_index)
        : words_(words),
          headers_(headers),
          size_(size),
          access_(access),
          event_index_(event_index) {}

    uint32_t seen() const { return words_.used_word.load_acquire() >> 16; }
    std::nullopt_t refuse() {
        faulted_ = true;
        return std::nullopt;
    }

    Words words_;
    uint64_t headers_;  // physical
    uint32_t size_;
    Access access_;
    bool event_index_;
    bool faulted_ = false;
    uint16_t available_ = 0;  // free-running, as are all indices
    uint16_t published_ = 0;
    uint16_t used_ = 0;
    uint32_t free_count_ = 0;
    std::array<uint8_t, queue_size_max / 2> free_{};  // the first free_count_ are slots
    std::array<Slot, queue_size_max / 2> slots_{};
};

}  // namespace annulus::virtio
