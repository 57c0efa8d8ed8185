// SPDX-License-Identifier: MIT
// A plug-in of QEMU that counts how often each block of guest code runs, for `make profile`.
//
// Kernel code is counted for the program that ran last, by the region of 2 MiB that its code lies
// in: the emulator's plug-ins cannot read the page table's register. One emulated CPU only.
//
// Argument: out=FILE. The file is mapped and always up to date, so whoever wants a part of a run
// reads it twice. It is `Table`, and empty entries have `instructions` 0.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>

// The part of QEMU's interface for plug-ins (version 1) that is used here.
extern "C" {
using qemu_plugin_id_t = uint64_t;
struct qemu_plugin_tb;
[[gnu::visibility("default")]] extern int qemu_plugin_version;
size_t qemu_plugin_tb_n_insns(const qemu_plugin_tb* block);
uint64_t qemu_plugin_tb_vaddr(const qemu_plugin_tb* block);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t, qemu_plugin_tb*));
void qemu_plugin_register_vcpu_tb_exec_cb(qemu_plugin_tb* block, void (*executed)(unsigned, void*),
                                          int flags, void* argument);
[[gnu::visibility("default")]] int qemu_plugin_install(qemu_plugin_id_t id, const void* machine,
                                                       int count, char** arguments);
}

int qemu_plugin_version = 1;

namespace {

struct Entry {
    uint64_t region;  // of the program for which it ran: address / 2 MiB
    uint64_t address;
    uint64_t instructions;  // in the block
    uint64_t executed;
};

constexpr size_t entries_max = 1 << 19;  // 16 MiB, of which only what is touched is there

struct Table {
    uint64_t lost;  // instructions for which there was no entry
    uint64_t reserved[3];
    Entry entries[entries_max];
};

Table* table;
uint64_t current_region;

// A block of code, and the entry that was used last for it.
struct Block {
    uint64_t address;
    uint64_t instructions;
    uint64_t region = 0;
    Entry* entry = nullptr;
};

bool is_kernel(uint64_t address) { return address >> 63 != 0; }

Entry* find_entry(const Block& block) {
    const uint64_t mixed = (block.address * 31 + block.instructions) * 0x9e3779b97f4a7c15u;
    const uint64_t begin = mixed + current_region * 0xc2b2ae3d27d4eb4fu;
    for (size_t i = 0; i < 64; ++i) {
        Entry& entry = table->entries[((begin >> 32) + i) % entries_max];
        if (entry.instructions == 0) {
            entry = {current_region, block.address, block.instructions, 0};
            return &entry;
        }
        if (entry.region == current_region && entry.address == block.address &&
            entry.instructions == block.instructions) {
            return &entry;
        }
    }
    return nullptr;
}

void executed(unsigned /*cpu*/, void* argument) {
    Block& block = *static_cast<Block*>(argument);
    if (!is_kernel(block.address)) current_region = block.address >> 21;
    if (block.entry == nullptr || block.region != current_region) {
        block.region = current_region;
        block.entry = find_entry(block);
    }
    if (block.entry != nullptr) {
        ++block.entry->executed;
    } else {
        table->lost += block.instructions;
    }
}

void translated(qemu_plugin_id_t /*id*/, qemu_plugin_tb* code) {
    // Code that is translated anew is the same block, and nothing is ever forgotten.
    static std::map<std::pair<uint64_t, uint64_t>, Block> blocks;
    const uint64_t address = qemu_plugin_tb_vaddr(code);
    const uint64_t instructions = qemu_plugin_tb_n_insns(code);
    Block& block =
        blocks.try_emplace({address, instructions}, Block{address, instructions}).first->second;
    qemu_plugin_register_vcpu_tb_exec_cb(code, executed, 0, &block);
}

}  // namespace

int qemu_plugin_install(qemu_plugin_id_t id, const void* /*machine*/, int count, char** arguments) {
    constexpr char name[] = "out=";
    if (count != 1 || strncmp(arguments[0], name, strlen(name)) != 0) return 1;
    const int file = open(arguments[0] + strlen(name), O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (file < 0 || ftruncate(file, sizeof(Table)) != 0) return 1;
    void* memory = mmap(nullptr, sizeof(Table), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) return 1;
    table = static_cast<Table*>(memory);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
