// SPDX-License-Identifier: MIT
// Builds start blocks.

#include "runtime/start_block.h"

#include <string.h>

#include <new>

namespace annulus {

Result<StartBlockBuilder> StartBlockBuilder::create(std::span<std::byte> memory, size_t handles,
                                                    size_t arguments) {
    // So many entries fit no block; the sums below cannot overflow then.
    if (handles > memory.size() || arguments > memory.size()) return Error::too_many;
    const size_t handles_offset = sizeof(abi::StartBlock);
    const size_t arguments_offset = handles_offset + handles * sizeof(abi::StartHandle);
    const size_t texts_offset = arguments_offset + arguments * sizeof(abi::StartArgument);
    if (texts_offset > memory.size() || memory.size() > UINT32_MAX) return Error::too_many;

    StartBlockBuilder builder(memory);
    builder.block_ = new (memory.data()) abi::StartBlock{};
    // Safety: both tables lie in `memory`, behind the block, whose size is a multiple of 8.
    builder.handles_ = reinterpret_cast<abi::StartHandle*>(memory.data() + handles_offset);
    builder.arguments_ = reinterpret_cast<abi::StartArgument*>(memory.data() + arguments_offset);
    builder.handles_max_ = handles;
    builder.arguments_max_ = arguments;
    builder.block_->version = abi::start_block_version;
    builder.block_->size = static_cast<uint32_t>(texts_offset);
    builder.block_->handles_offset = static_cast<uint32_t>(handles_offset);
    builder.block_->arguments_offset = static_cast<uint32_t>(arguments_offset);
    return builder;
}

Result<uint32_t> StartBlockBuilder::add_text(std::string_view text) {
    const size_t room = memory_.size() - block_->size;
    if (text.size() >= room) return Error::too_many;
    const uint32_t offset = block_->size;
    if (!text.empty()) memcpy(memory_.data() + offset, text.data(), text.size());
    memory_[offset + text.size()] = std::byte{0};
    block_->size += static_cast<uint32_t>(text.size() + 1);
    return offset;
}

Result<void> StartBlockBuilder::add_handle(std::string_view name, abi::Handle value) {
    if (block_->handle_count >= handles_max_) return Error::too_many;
    const uint32_t offset = TRY(add_text(name));
    handles_[block_->handle_count++] = {value, offset, static_cast<uint32_t>(name.size())};
    return {};
}

Result<void> StartBlockBuilder::add_argument(std::string_view text) {
    if (block_->argument_count >= arguments_max_) return Error::too_many;
    const uint32_t offset = TRY(add_text(text));
    arguments_[block_->argument_count++] = {offset, static_cast<uint32_t>(text.size())};
    return {};
}

}  // namespace annulus
