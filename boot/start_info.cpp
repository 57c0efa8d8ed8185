// SPDX-License-Identifier: MIT
// The PVH start information, turned into a StartInfo.
#include "boot/start_info.h"

namespace annulus::arch {

namespace {

void copy_command_line(const PhysicalWindow& window, uint64_t address, StartInfo& info) {
    if (address == 0) return;
    for (uint64_t i = 0; i < command_line_max; ++i) {
        char c = 0;
        if (!window.read(address + i, c) || c == 0) break;
        info.command_line_storage[info.command_line_size++] = c;
    }
}

StartProblem read_map(const PhysicalWindow& window, const HvmStartInfo& start, uint64_t limit,
                      StartInfo& info) {
    if (start.memory_map_entries > map_entries_max) return StartProblem::too_many_map_entries;
    std::array<HvmMapEntry, map_entries_max> entries;
    for (uint32_t i = 0; i < start.memory_map_entries; ++i) {
        const uint64_t at = start.memory_map + i * sizeof(HvmMapEntry);
        if (!window.read(at, entries[i])) return StartProblem::unreadable;
    }
    const std::span all(entries.data(), start.memory_map_entries);
    return build_memory_map(all, limit, info.map) ? StartProblem::none
                                                  : StartProblem::too_many_map_entries;
}

StartProblem read_archive(const PhysicalWindow& window, const HvmStartInfo& start,
                          PhysicalRange kernel, StartInfo& info) {
    info.module_count = start.module_count;
    if (start.module_count == 0) return StartProblem::none;
    HvmModule module;
    if (!window.read(start.modules, module)) return StartProblem::unreadable;
    if (module.size == 0) return StartProblem::none;
    if (module.size > ~module.address) return StartProblem::archive_outside_ram;
    const PhysicalRange archive{module.address, module.address + module.size};
    const PhysicalRange pages = widen_to_pages(archive);
    if (!info.map.ram.covers(pages) || pages.overlaps(kernel)) {
        return StartProblem::archive_outside_ram;
    }
    info.archive = archive;
    return StartProblem::none;
}

}  // namespace

std::string_view describe(StartProblem problem) {
    switch (problem) {
        case StartProblem::none: return "no problem";
        case StartProblem::bad_magic: return "the boot loader's magic number is wrong";
        case StartProblem::old_version: return "the boot loader passes no memory map";
        case StartProblem::unreadable: return "boot information lies beyond 4 GiB";
        case StartProblem::too_many_map_entries: return "the memory map has too many entries";
        case StartProblem::kernel_outside_ram: return "the kernel was loaded outside RAM";
        case StartProblem::archive_outside_ram: return "the boot archive lies outside free RAM";
    }
    return "unknown problem";
}

StartProblem read_start_info(const PhysicalWindow& window, uint64_t start, PhysicalRange kernel,
                             uint64_t limit, StartInfo& info) {
    HvmStartInfo header;
    if (!window.read(start, header)) return StartProblem::unreadable;
    if (header.magic != hvm_start_magic) return StartProblem::bad_magic;
    if (header.version < 1) return StartProblem::old_version;
    const StartProblem map_problem = read_map(window, header, limit, info);
    if (map_problem != StartProblem::none) return map_problem;
    if (!info.map.ram.covers(kernel)) return StartProblem::kernel_outside_ram;
    info.rsdp = header.rsdp;
    copy_command_line(window, header.command_line, info);
    return read_archive(window, header, kernel, info);
}

}  // namespace annulus::arch
