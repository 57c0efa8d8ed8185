// SPDX-License-Identifier: MIT
// Finding out what the CPU offers, and turning it on.
#pragma once

namespace annulus::arch {

// Fills cpu_features(). Once, on the boot CPU.
void detect_cpu_features();

// Turns protection, segment-base instructions and vector state on, as cpu_features() allows, on
// this CPU. On the boot CPU after detect_cpu_features() and patch_smap_instructions().
void enable_cpu_features();

// Without SMAP, replaces STAC and CLAC in the kernel by no-operations. Once, on the boot CPU, while
// the kernel's code is still writable.
void patch_smap_instructions();

// True when this CPU offers all that cpu_features() says.
bool cpu_matches_features();

}  // namespace annulus::arch
