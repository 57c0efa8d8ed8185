// SPDX-License-Identifier: MIT
// Console: the right to write to the kernel's own console, until a driver takes the port over.
#pragma once

#include "kernel/object/budget.h"

#include <string_view>

namespace annulus::kernel {

class Console final : public Object {
public:
    static constexpr uint32_t text_max = 1024;

    static Result<Ref<Console>> create(Budget& budget) { return budget.create<Console>(); }

    // Writes a text whole: no other line comes in between. wrong_state: it was released.
    static Result<void> write(std::string_view text);
    // From now on neither programs nor the log write to the port; a panic still does. Answers the
    // byte that had arrived before the port's queues were on, or -1, once.
    static int leave();

    Console(Budget* payer, uint32_t size) : Object(kind_table, payer, size) {}
    static const ObjectKind kind_table;
};

}  // namespace annulus::kernel
