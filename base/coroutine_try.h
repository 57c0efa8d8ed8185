// SPDX-License-Identifier: MIT
// TRY for coroutines.
#pragma once

#include "base/result.h"

// Evaluates to the value of a Result, or ends the enclosing coroutine with its status.
#define CO_TRY(expression)                                     \
    ({                                                         \
        auto try_result_ = (expression);                       \
        if (!try_result_.ok()) co_return try_result_.status(); \
        std::move(try_result_).value();                        \
    })
