// SPDX-License-Identifier: MIT
// Everything a program was handed: its named objects and its arguments. There is nothing else.
#pragma once

#include "abi/records.h"
#include "base/result.h"
#include "generated/objects.h"

#include <stddef.h>

#include <span>
#include <string_view>

namespace annulus {

// Names that the runtime itself uses, when they were handed out.
namespace names {
inline constexpr std::string_view process = "process";  // this process: memory maps, threads
inline constexpr std::string_view budget = "budget";    // pays for the heap, stacks, semaphores
inline constexpr std::string_view clock = "clock";      // memory: abi::ClockPage
inline constexpr std::string_view log = "log";          // stream: lines for whoever looks after it
inline constexpr std::string_view output = "output";    // stream: what the program says
inline constexpr std::string_view input = "input";      // stream: what it is told
inline constexpr std::string_view console = "console";  // the kernel's console
inline constexpr std::string_view power = "power";
}  // namespace names

// A view of the start block, which the parent made and which stays read-only for the life of the
// process. The parent is trusted: it chose the program's code, too. Copies are cheap.
class Environment {
public:
    constexpr Environment() = default;
    constexpr explicit Environment(const abi::StartBlock* block) : block_(block) {}

    // The object that was handed out under `name`, without ownership: handle<Memory>("archive").
    // not_granted if there is none. The object's type is checked by its first operation.
    template <typename T>
    Result<typename T::Reference> handle(std::string_view name) const {
        return typename T::Reference(TRY(find(name)));
    }

    // The same with ownership: the handle is closed with the result. Once per name.
    template <typename T>
    Result<T> take(std::string_view name) const {
        return T(TRY(find(name)));
    }

    // Every handle and its name, for a program that hands its objects on.
    size_t handle_count() const;
    std::string_view handle_name(size_t index) const;
    abi::Handle handle_value(size_t index) const;

    size_t argument_count() const;
    std::string_view argument(size_t index) const;

    // The argument "name=value", or nothing.
    Result<std::string_view> argument(std::string_view name) const;

    // From the parent, for choices that should differ between processes; fixed under icount.
    uint64_t address_seed() const { return block_ == nullptr ? 0 : block_->address_seed; }
    const abi::StartBlock* block() const { return block_; }

private:
    Result<abi::Handle> find(std::string_view name) const;
    std::string_view text(uint32_t offset, uint32_t length) const;

    const abi::StartBlock* block_ = nullptr;
};

}  // namespace annulus
