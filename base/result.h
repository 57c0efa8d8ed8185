// SPDX-License-Identifier: MIT
// Result<T>: a value or the Status that says why there is none. Must be looked at.
#pragma once

#include "abi/status.h"

#include <new>
#include <type_traits>
#include <utility>

namespace annulus {

using abi::Error;
using abi::Status;

// Called when a Result is used as what it is not: a bug in the caller, never input's fault.
[[noreturn]] void result_misused();

// Holds a T when ok(), otherwise a Status whose code is not Error::ok.
template <typename T>
class [[nodiscard]] Result {
public:
    constexpr Result(T value) : value_(std::move(value)) {}
    constexpr Result(Status status) : status_(status), empty_() {}
    constexpr Result(Error code) : status_(code), empty_() {}

    // Of trivial values: so that a result of two words is returned in registers.
    constexpr Result(Result&&)
        requires std::is_trivially_copyable_v<T>
    = default;
    constexpr Result(Result&& other) : status_(other.status_), empty_() {
        if (other.ok()) new (&value_) T(std::move(other.value_));
    }
    Result(const Result&) = delete;
    Result& operator=(const Result&) = delete;
    Result& operator=(Result&&) = delete;

    constexpr ~Result()
        requires std::is_trivially_destructible_v<T>
    = default;
    constexpr ~Result() {
        if (ok()) value_.~T();
    }

    constexpr bool ok() const { return status_.ok(); }
    constexpr explicit operator bool() const { return ok(); }
    constexpr Status status() const { return status_; }
    constexpr Error error() const { return status_.code(); }

    constexpr T& value() & {
        if (!ok()) result_misused();
        return value_;
    }
    constexpr const T& value() const& {
        if (!ok()) result_misused();
        return value_;
    }
    constexpr T&& value() && {
        if (!ok()) result_misused();
        return std::move(value_);
    }
    constexpr T& operator*() & { return value(); }
    constexpr const T& operator*() const& { return value(); }
    constexpr T* operator->() { return &value(); }
    constexpr const T* operator->() const { return &value(); }
    constexpr T value_or(T other) const& { return ok() ? value_ : other; }

private:
    Status status_{};
    struct Empty {};
    union {
        Empty empty_;
        T value_;
    };
};

// Success without a value (extra words of a success stay in the status), or an error.
template <>
class [[nodiscard]] Result<void> {
public:
    constexpr Result() = default;
    constexpr Result(Status status) : status_(status) {}
    constexpr Result(Error code) : status_(code) {}

    constexpr bool ok() const { return status_.ok(); }
    constexpr explicit operator bool() const { return ok(); }
    constexpr Status status() const { return status_; }
    constexpr Error error() const { return status_.code(); }
    constexpr void value() const {
        if (!ok()) result_misused();
    }

private:
    Status status_{};
};

}  // namespace annulus

// Evaluates to the value of a Result, or returns its status from the enclosing function.
#define TRY(expression)                                     \
    ({                                                      \
        auto try_result_ = (expression);                    \
        if (!try_result_.ok()) return try_result_.status(); \
        std::move(try_result_).value();                     \
    })
