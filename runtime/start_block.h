// SPDX-License-Identifier: MIT
// Builds an abi::StartBlock: what a new program reads its handles and arguments from.
//
//   +------------+--------------------+-----------------------+-------------------------+
//   | StartBlock | StartHandle[n]     | StartArgument[m]      | texts, each with a NUL  |
//   +------------+--------------------+-----------------------+-------------------------+
//
// Pure: works on memory of the caller's, which becomes the block.
#pragma once

#include "abi/records.h"
#include "base/result.h"

#include <stddef.h>

#include <cstddef>
#include <span>
#include <string_view>

namespace annulus {

// Sizes are fixed beforehand, so the texts have their place at once.
class StartBlockBuilder {
public:
    // `memory` is zeroed, aligned to 8 bytes, and outlives the builder. too_many: the tables alone
    // do not fit.
    static Result<StartBlockBuilder> create(std::span<std::byte> memory, size_t handles,
                                            size_t arguments);

    // too_many: more than announced, or no room for the text.
    Result<void> add_handle(std::string_view name, abi::Handle value);
    Result<void> add_argument(std::string_view text);

    // The rest of the block's fields; sizes and offsets are filled in already.
    abi::StartBlock& block() { return *block_; }

    // Bytes of memory in use.
    size_t size() const { return block_->size; }

private:
    explicit StartBlockBuilder(std::span<std::byte> memory) : memory_(memory) {}
    Result<uint32_t> add_text(std::string_view text);

    std::span<std::byte> memory_;
    abi::StartBlock* block_ = nullptr;
    abi::StartHandle* handles_ = nullptr;
    abi::StartArgument* arguments_ = nullptr;
    size_t handles_max_ = 0;
    size_t arguments_max_ = 0;
};

}  // namespace annulus
