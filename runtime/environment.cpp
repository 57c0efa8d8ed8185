// SPDX-License-Identifier: MIT
// Reads the start block.

#include "runtime/environment.h"

#include "runtime/end.h"

namespace annulus {

namespace {

// Safety: the parent made the block with this layout; offsets are from its begin.
template <typename T>
const T* table(const abi::StartBlock* block, uint32_t offset) {
    return reinterpret_cast<const T*>(reinterpret_cast<uintptr_t>(block) + offset);
}

}  // namespace

std::string_view Environment::text(uint32_t offset, uint32_t length) const {
    return {table<char>(block_, offset), length};
}

size_t Environment::handle_count() const { return block_ == nullptr ? 0 : block_->handle_count; }

std::string_view Environment::handle_name(size_t index) const {
    if (index >= handle_count()) panic("there is no handle with this index");
    const auto& entry = table<abi::StartHandle>(block_, block_->handles_offset)[index];
    return text(entry.name_offset, entry.name_length);
}

abi::Handle Environment::handle_value(size_t index) const {
    if (index >= handle_count()) panic("there is no handle with this index");
    return table<abi::StartHandle>(block_, block_->handles_offset)[index].handle;
}

size_t Environment::argument_count() const {
    return block_ == nullptr ? 0 : block_->argument_count;
}

std::string_view Environment::argument(size_t index) const {
    if (index >= argument_count()) panic("there is no argument with this index");
    const auto& entry = table<abi::StartArgument>(block_, block_->arguments_offset)[index];
    return text(entry.offset, entry.length);
}

Result<std::string_view> Environment::argument(std::string_view name) const {
    for (size_t i = 0; i < argument_count(); ++i) {
        const std::string_view whole = argument(i);
        if (whole.size() <= name.size() || !whole.starts_with(name)) continue;
        if (whole[name.size()] == '=') return whole.substr(name.size() + 1);
    }
    return Error::not_found;
}

Result<abi::Handle> Environment::find(std::string_view name) const {
    for (size_t i = 0; i < handle_count(); ++i) {
        if (handle_name(i) == name) return handle_value(i);
    }
    return Error::not_granted;
}

}  // namespace annulus
