// SPDX-License-Identifier: MIT
// Offsets that assembly shares with CpuLocal and TrapFrame; the headers assert the same values.
.set cpu_self, 0
.set cpu_user_rsp, 8
.set cpu_kernel_stack_top, 16
.set cpu_index, 24
.set frame_vector, 120
.set frame_error, 128
.set frame_rip, 136
.set frame_cs, 144
.set frame_rflags, 152
.set frame_rsp, 160
.set frame_ss, 168
.set frame_size, 176
