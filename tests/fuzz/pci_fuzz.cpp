// SPDX-License-Identifier: MIT
// Fuzz target of PCI configuration spaces: the input is what a device answers, and which of its
// bits can be written.
#include "services/pci/config/device_path.h"
#include "services/pci/config/function.h"

#include <cstdlib>
#include <cstring>

namespace {

using namespace annulus::pci;

void require(bool condition) {
    if (!condition) abort();
}

// The first 256 bytes of the input are the space, the next its writable bits; missing ones are 0.
class Space final : public ConfigSpace {
public:
    Space(const unsigned char* data, size_t size) {
        const size_t first = size < half ? size : half;
        memcpy(bytes_, data, first);
        memcpy(masks_, data + first, size - first < half ? size - first : half);
    }
    uint32_t read(uint32_t offset, uint32_t width) override {
        check(offset, width);
        uint32_t value = 0;
        for (uint32_t i = 0; i < width; ++i) {
            if (offset + i < half) value |= uint32_t{bytes_[offset + i]} << 8 * i;
        }
        return value;
    }
    void write(uint32_t offset, uint32_t width, uint32_t value) override {
        check(offset, width);
        for (uint32_t i = 0; i < width && offset + i < half; ++i) {
            unsigned char& byte = bytes_[offset + i];
            const unsigned mask = masks_[offset + i];
            byte = static_cast<unsigned char>((byte & ~mask) | ((value >> 8 * i) & mask));
        }
    }

private:
    static constexpr size_t half = 256;
    static void check(uint32_t offset, uint32_t width) {
        require(width == 1 || width == 2 || width == 4);
        require(offset % width == 0 && offset + width <= config_size);
    }

    unsigned char bytes_[half] = {};
    unsigned char masks_[half] = {};
};

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
    Space space(data, size);
    Function function;
    if (!read_function(space, function)) return 0;
    for (const Bar& bar : function.bars) {
        if (bar.kind == Bar::Kind::none) continue;
        require(bar.size != 0 && (bar.size & (bar.size - 1)) == 0);
        require(bar.address + bar.size >= bar.address);
    }
    const MessageTable& messages = function.messages;
    if (messages.present()) {
        const Bar& bar = function.bars[messages.table_bar];
        require(uint64_t{messages.table_offset} + messages.entries * 16u <= bar.size);
        require(messages.overlaps(messages.table_bar, messages.table_offset, 1));
    }
    set_messages_enabled(space, messages, true);
    begin_reset(space, function);
    // Safety: any bytes may be looked at as characters.
    const std::string_view text(reinterpret_cast<const char*>(data), size < 32 ? size : 32);
    if (const auto path = DevicePath::parse(text)) (void)path->matches(0, function);
    return 0;
}
