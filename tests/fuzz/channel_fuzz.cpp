// SPDX-License-Identifier: MIT
// Fuzz target of every structure in channel memory: the peer is the input.
//
// The input is a list of steps: write a word anywhere in the shared memory, or let our ends do
// something. Whatever the peer writes, we stay in memory, do a bounded amount of work, never use a
// buffer that we do not own, and after a fault do nothing more.
#include "channel/byte_stream.h"
#include "channel/latest_value.h"
#include "channel/message_queue.h"
#include "channel/packet_queue.h"
#include "channel/request_queue.h"

#include <cstdlib>
#include <new>
#include <vector>

namespace {

using namespace annulus;
using namespace annulus::channel;

void require(bool condition) {
    if (!condition) abort();
}

struct Bell {
    void ring() {}
};

class Input {
public:
    explicit Input(std::span<const unsigned char> bytes) : bytes_(bytes) {}

    bool empty() const { return at_ >= bytes_.size(); }
    uint32_t byte() { return empty() ? 0 : bytes_[at_++]; }
    uint32_t word() {
        uint32_t value = 0;
        for (int i = 0; i < 4; ++i) value = value << 8 | byte();
        return value;
    }

private:
    std::span<const unsigned char> bytes_;
    size_t at_ = 0;
};

class Memory {
public:
    explicit Memory(Geometry geometry)
        : length_(geometry.length()), bytes_(new(std::align_val_t(page)) std::byte[length_]{}) {}
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    ~Memory() { operator delete[](bytes_, std::align_val_t(page)); }

    UntrustedBytes bytes() const { return UntrustedBytes::at_address(bytes_, length_); }

    // The peer: small values near a ring's words are what gets furthest.
    void scribble(Input& input) const {
        const uint32_t kind = input.byte();
        const uint32_t where = input.byte();
        const uint32_t offset = (kind & 1) != 0 ? where * line_size : where * 4 + (kind >> 1) * 512;
        const uint32_t value = (kind & 2) != 0 ? input.word() : input.byte();
        const auto word = bytes().atomic_at<uint32_t>(offset % length_ & ~3u);
        word.value().store_release(value);
    }

private:
    uint64_t length_;
    std::byte* bytes_;
};

void fuzz_packets(Input& input) {
    const Geometry geometry = packets_geometry(3, 7);
    const Memory memory(geometry);
    auto pair = PacketPair<Bell>::attach(memory.bytes(), geometry, Side::second, {}).value();
    std::vector<uint32_t> held;
    while (!input.empty()) {
        switch (input.byte() % 5) {
            case 0: memory.scribble(input); break;
            case 1:
                for (unsigned i = 0; const auto packet = pair.receiver.receive(); ++i) {
                    require(i < 8 && pair.receiver.fault() == Fault::none);
                    for (const uint32_t other : held) require(other != packet->descriptor.buffer);
                    std::vector<std::byte> copy(packet->bytes.size());
                    require(packet->bytes.freeze(0, copy));
                    held.push_back(packet->descriptor.buffer);
                }
                break;
            case 2:
                if (held.empty()) break;
                pair.receiver.release(held.back());
                held.pop_back();
                if (input.byte() % 2 == 0) pair.receiver.publish();
                break;
            case 3: {
                const bool faulted = pair.sender.fault() != Fault::none;
                const auto buffer = pair.sender.acquire();
                if (!buffer) break;
                require(!faulted && buffer->number < 8);
                require(buffer->bytes.store(0, std::vector(buffer->bytes.size(), std::byte{1})));
                pair.sender.send({.buffer = buffer->number,
                                  .offset = 0,
                                  .length = 128,
                                  .flags = 0,
                                  .metadata = {}});
                if (input.byte() % 2 == 0) pair.sender.publish();
                break;
            }
            default:
                static_cast<void>(pair.sender.prepare_wait(input.byte()));
                static_cast<void>(pair.receiver.prepare_wait(input.byte()));
        }
    }
}

void fuzz_bytes(Input& input) {
    const Geometry geometry = bytes_geometry(min_stream_log2);
    const Memory memory(geometry);
    auto pair = BytePair<Bell>::attach(memory.bytes(), geometry, Side::first, {}).value();
    std::vector<std::byte> some(300);
    while (!input.empty()) {
        const Fault before = pair.reader.fault();
        switch (input.byte() % 5) {
            case 0: memory.scribble(input); break;
            case 1: {
                const size_t count = pair.reader.read(std::span(some).first(input.byte()));
                require(before == Fault::none || count == 0);
                break;
            }
            case 2: pair.writer.write(std::span(some).first(input.byte())); break;
            case 3: {
                const UntrustedBytes bytes = pair.reader.peek(input.byte());
                require(bytes.size() <= geometry.size());
                require(bytes.freeze(0, std::span(some).first(bytes.size())));
                pair.reader.release(static_cast<uint32_t>(bytes.size()));
                break;
            }
            default:
                static_cast<void>(pair.reader.ended());
                static_cast<void>(pair.reader.prepare_wait(input.byte()));
                static_cast<void>(pair.writer.prepare_wait(input.byte()));
        }
        require(before == Fault::none || pair.reader.fault() == before);
    }
}

void fuzz_messages(Input& input) {
    const Geometry geometry = messages_geometry(2);
    const Memory memory(geometry);
    auto pair = MessagePair<Bell>::attach(memory.bytes(), geometry, Side::first, {}).value();
    Message message = {};
    while (!input.empty()) {
        std::array<Message, 6> several{};
        const auto some = std::span(several).first(input.byte() % 7);
        switch (input.byte() % 6) {
            case 0: memory.scribble(input); break;
            case 4: require(pair.receiver.receive(some) <= 4); break;
            case 5: require(pair.sender.send(some) <= 4); break;
            case 1:
                for (unsigned i = 0; pair.receiver.receive(message); ++i) require(i < 4);
                pair.receiver.publish();
                break;
            case 2:
                for (unsigned i = 0; pair.sender.send(message); ++i) require(i < 4);
                pair.sender.publish();
                break;
            default: static_cast<void>(pair.receiver.prepare_wait(input.byte()));
        }
    }
}

void fuzz_latest(Input& input) {
    const Geometry geometry = latest_geometry(6);
    const Memory memory(geometry);
    auto pair = LatestPair<Bell>::attach(memory.bytes(), geometry, Side::second, {}).value();
    std::array<std::byte, 64> value{};
    while (!input.empty()) {
        switch (input.byte() % 4) {
            case 0: memory.scribble(input); break;
            case 1: pair.writer.write(value); break;
            case 2: {
                const Reading first = pair.reader.read(value);
                require(first != Reading::overtaken && "nobody writes meanwhile");
                require(pair.reader.read(value) == Reading::unchanged);
                require(pair.reader.prepare_wait() == Wait::sleep);
                break;
            }
            default: static_cast<void>(pair.reader.prepare_wait());
        }
    }
}

void fuzz_asker(Input& input) {
    const Geometry geometry = requests_geometry(3, 7);
    const Memory memory(geometry);
    auto asker = RequestAsker<Bell>::attach(memory.bytes(), geometry, Side::first, {}).value();
    std::array<bool, 8> asked{};
    std::vector<uint32_t> mine;
    while (!input.empty()) {
        const bool faulted = asker.fault() != Fault::none;
        switch (input.byte() % 5) {
            case 0: memory.scribble(input); break;
            case 1:
                if (const auto slot = asker.acquire()) {
                    require(!faulted && *slot < 8 && !asked[*slot]);
                    mine.push_back(*slot);
                }
                break;
            case 2: {
                if (mine.empty()) break;
                const uint32_t slot = mine.back();
                mine.pop_back();
                require(asker.bytes_of(slot).store(0, std::array<std::byte, 128>{}));
                asker.send({slot, 0, input.byte(), input.byte() % 129, 0, 0});
                asked[slot] = true;
                if (input.byte() % 2 == 0) asker.publish();
                break;
            }
            case 3:
                for (unsigned i = 0; const auto answer = asker.take(); ++i) {
                    require(!faulted && i < 8 && answer->slot < 8 && answer->count <= 128);
                    require(asked[answer->slot]);
                    asked[answer->slot] = false;
                    if (input.byte() % 2 == 0) {
                        asker.release(answer->slot);
                    } else {
                        mine.push_back(answer->slot);
                    }
                }
                break;
            default: static_cast<void>(asker.prepare_wait(input.byte()));
        }
    }
}

void fuzz_answerer(Input& input) {
    const Geometry geometry = requests_geometry(3, 7);
    const Memory memory(geometry);
    auto answerer =
        RequestAnswerer<Bell>::attach(memory.bytes(), geometry, Side::second, {}).value();
    std::vector<uint32_t> held;
    while (!input.empty()) {
        const bool faulted = answerer.fault() != Fault::none;
        switch (input.byte() % 4) {
            case 0: memory.scribble(input); break;
            case 1:
                for (unsigned i = 0; const auto request = answerer.next(); ++i) {
                    require(!faulted && i < 8 && request->slot < 8 && request->length <= 128);
                    for (const uint32_t other : held) require(other != request->slot);
                    held.push_back(request->slot);
                    std::array<std::byte, 128> copy{};
                    const auto part = std::span(copy).first(request->length);
                    require(answerer.bytes_of(request->slot).freeze(0, part));
                }
                break;
            case 2:
                if (held.empty()) break;
                answerer.answer({held.back(), input.byte() % 129, 0});
                held.pop_back();
                if (input.byte() % 2 == 0) answerer.publish();
                break;
            default: static_cast<void>(answerer.prepare_wait(input.byte()));
        }
    }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
    Input input(std::span(data, size));
    switch (input.byte() % 6) {
        case 0: fuzz_packets(input); break;
        case 1: fuzz_bytes(input); break;
        case 2: fuzz_latest(input); break;
        case 4: fuzz_asker(input); break;
        case 5: fuzz_answerer(input); break;
        default: fuzz_messages(input);
    }
    return 0;
}
