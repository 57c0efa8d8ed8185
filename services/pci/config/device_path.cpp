// SPDX-License-Identifier: MIT
// Paths of devices: id/1af4:1041/1, class/0200, at/00:02.0.
#include "services/pci/config/device_path.h"

#include <cstddef>

namespace annulus::pci {

namespace {

// Takes digits off the begin of a text.
class Reader {
public:
    explicit Reader(std::string_view text) : rest_(text) {}

    bool take(std::string_view word) {
        if (!rest_.starts_with(word)) return false;
        rest_.remove_prefix(word.size());
        return true;
    }
    // Exactly `digits` hexadecimal ones.
    bool hexadecimal(unsigned digits, uint32_t& value) {
        if (rest_.size() < digits) return false;
        value = 0;
        for (unsigned i = 0; i < digits; ++i) {
            const int digit = digit_of(rest_[i]);
            if (digit < 0) return false;
            value = value << 4 | static_cast<uint32_t>(digit);
        }
        rest_.remove_prefix(digits);
        return true;
    }
    // One to three decimal digits.
    bool decimal(uint32_t& value) {
        size_t digits = 0;
        value = 0;
        for (; digits < rest_.size() && digits < 3; ++digits) {
            if (rest_[digits] < '0' || rest_[digits] > '9') break;
            value = value * 10 + static_cast<uint32_t>(rest_[digits] - '0');
        }
        rest_.remove_prefix(digits);
        return digits != 0;
    }
    [[nodiscard]] bool at_end() const { return rest_.empty(); }

private:
    static int digit_of(char c) {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        return -1;
    }

    std::string_view rest_;
};

constexpr uint32_t devices_per_bus = 32, functions_per_device = 8;

}  // namespace

std::optional<DevicePath> DevicePath::parse(std::string_view text) {
    DevicePath path;
    Reader reader(text);
    if (reader.take("id/")) {
        path.kind_ = Kind::id;
        if (!reader.hexadecimal(4, path.first_) || !reader.take(":") ||
            !reader.hexadecimal(4, path.second_)) {
            return std::nullopt;
        }
    } else if (reader.take("class/")) {
        path.kind_ = Kind::classes;
        if (!reader.hexadecimal(4, path.first_)) return std::nullopt;
    } else if (reader.take("at/")) {
        path.kind_ = Kind::place;
        uint32_t device = 0;
        uint32_t function = 0;
        if (!reader.hexadecimal(2, path.first_) || !reader.take(":") ||
            !reader.hexadecimal(2, device) || !reader.take(".") ||
            !reader.hexadecimal(1, function)) {
            return std::nullopt;
        }
        if (device >= devices_per_bus || function >= functions_per_device) return std::nullopt;
        path.first_ = path.first_ << 8 | device << 3 | function;
    } else {
        return std::nullopt;
    }
    if (path.kind_ != Kind::place && reader.take("/") && !reader.decimal(path.index_)) {
        return std::nullopt;
    }
    if (!reader.at_end()) return std::nullopt;
    return path;
}

bool DevicePath::matches(uint16_t address, const Function& function) const {
    switch (kind_) {
        case Kind::id: return function.vendor == first_ && function.device == second_;
        case Kind::classes:
            return (uint32_t{function.class_code} << 8 | function.subclass) == first_;
        default: return address == first_;
    }
}

}  // namespace annulus::pci
