// SPDX-License-Identifier: MIT
// The programs that init looks after, behind the handle `system`, by synchronous calls.
//
//   const Programs programs = TRY(environment.handle<Programs>("system"));
//   TRY(programs.kill("net"));
#pragma once

#include "abi/system.h"
#include "runtime/directory.h"

namespace annulus {

namespace names {
inline constexpr std::string_view system = "system";
}  // namespace names

// An object that a program is handed, as its manifest says.
struct ProgramGrant {
    std::string_view name;
    std::string_view source;
    abi::Rights rights = 0;
    uint32_t line = 0;
};

// Names a served object that knows abi/system.h. Does not own the handle. Its programs' names are
// those that a DirectoryReader finds.
class Programs : public Directory {
public:
    using Reference = Programs;
    using Directory::Directory;

    Result<abi::ProgramReport> report(std::string_view program) const;
    Result<abi::MachineLedger> machine() const;
    Result<void> kill(std::string_view program) const;
    // abi::power_off or abi::power_reboot. The answer comes before the end.
    Result<void> shut_down(uint64_t kind) const;

    // Fills `buffer` with a part of what the program is handed, from `cursor` on, which becomes 0
    // after the last part; take_grant takes it apart.
    Result<std::span<const std::byte>> read_grants(std::string_view program, uint64_t& cursor,
                                                   std::span<std::byte> buffer) const;
};

// Takes the first grant off `bytes`. False: there is none, or the bytes are malformed.
bool take_grant(std::span<const std::byte>& bytes, ProgramGrant& grant);

}  // namespace annulus
