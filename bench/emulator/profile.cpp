// SPDX-License-Identifier: MIT
// A plug-in of QEMU that counts how often each block of guest code runs, and samples who called it,
// for `make profile`.
//
// Kernel code is counted for the program that ran last, by the region of 2 MiB that its code lies
// in: the emulator's plug-ins cannot read the page table's register. One emulated CPU only.
//
// Calls are seen by what they write to the stack. The address tells which stack it is, so switches
// between stacks need not be known: what lies below it is of calls that are over. A return goes to
// where a call left off. (QEMU 7.2 tells of a fifth of the reads that returns do.) A call that
// never returns leaves its frame until the stack is used above it again.
//
// Argument: out=FILE. The file is mapped and always up to date, so whoever wants a part of a run
// reads it twice. It is `Table`, and empty entries have `instructions` 0 or `depth` 0.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <unordered_map>
#include <vector>

// The part of QEMU's interface for plug-ins (version 1) that is used here.
extern "C" {
using qemu_plugin_id_t = uint64_t;
using qemu_plugin_meminfo_t = uint32_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
[[gnu::visibility("default")]] extern int qemu_plugin_version;
size_t qemu_plugin_tb_n_insns(const qemu_plugin_tb* block);
uint64_t qemu_plugin_tb_vaddr(const qemu_plugin_tb* block);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t, qemu_plugin_tb*));
void qemu_plugin_register_vcpu_tb_exec_cb(qemu_plugin_tb* block, void (*executed)(unsigned, void*),
                                          int flags, void* argument);
qemu_plugin_insn* qemu_plugin_tb_get_insn(const qemu_plugin_tb* block, size_t at);
const void* qemu_plugin_insn_data(const qemu_plugin_insn* instruction);
size_t qemu_plugin_insn_size(const qemu_plugin_insn* instruction);
uint64_t qemu_plugin_insn_vaddr(const qemu_plugin_insn* instruction);
void qemu_plugin_register_vcpu_mem_cb(qemu_plugin_insn* instruction,
                                      void (*accessed)(unsigned, qemu_plugin_meminfo_t, uint64_t,
                                                       void*),
                                      int flags, int kind, void* argument);
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

constexpr size_t depth_max = 61;

// Code that was seen running, and the calls that led there, the innermost first: those of the
// kernel if it ran, and then those of the program for which it ran. The outermost are left out if
// there are too many.
struct Sample {
    uint64_t count;
    uint64_t region;
    uint64_t depth;
    uint64_t frames[depth_max];
};

// 16 and 64 MiB, of which only what is touched is there.
constexpr size_t entries_max = 1 << 19;
constexpr size_t samples_max = 1 << 17;

struct Table {
    uint64_t lost;          // instructions for which there was no entry
    uint64_t lost_samples;  // likewise
    uint64_t reserved[2];
    Entry entries[entries_max];
    Sample samples[samples_max];
};

Table* table;
uint64_t current_region;

// A call that has not returned: where it is, where it comes back to, and where on the stack it put
// that.
struct Call {
    uint64_t place;
    uint64_t next;
    uint64_t at;
};
using Stack = std::vector<Call>;

// Programs may have stacks at the same place. Code of two regions belongs to one program if it runs
// without the kernel in between.
struct Program {
    std::unordered_map<uint64_t, Stack> stacks;
    Stack* in_use = nullptr;
};

Program kernel;
std::unordered_map<uint64_t, Program*> program_of_region;  // never freed
Program* program = &kernel;                                // until one has run
Stack* kernel_stack;  // null: nothing was called since the entry
bool in_kernel = true;
bool returning;  // the block before ended with a return
int64_t until_sample;

// A block of code, and the entry that was used last for it.
struct Block {
    uint64_t address;
    uint64_t instructions;
    uint64_t last = 0;  // the last instruction
    uint64_t next = 0;  // what lies behind it
    bool returns = false;
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

// Where on the stack `at` the calls that go on lie. Linux's kernel stacks have 16 KiB, Annulus's
// fewer; those of a program are far from each other.
Stack& use_stack(uint64_t at) {
    Stack* stack;
    if (is_kernel(at)) {
        stack = &kernel.stacks[at >> 14];
        // Whoever comes from a program finds the stack empty: what is there did not return.
        if (kernel_stack == nullptr) stack->clear();
        kernel_stack = stack;
    } else {
        stack = &program->stacks[at >> 23];
        program->in_use = stack;
    }
    while (!stack->empty() && stack->back().at <= at) stack->pop_back();
    return *stack;
}

void called(unsigned /*cpu*/, qemu_plugin_meminfo_t /*how*/, uint64_t at, void* argument) {
    const Block& block = *static_cast<const Block*>(argument);
    use_stack(at).push_back({block.last, block.next, at});
}

// A return led to this address: the call that it is behind is over, and those that it made, unless
// it is on another stack.
void came_back(uint64_t address) {
    Stack* stack = is_kernel(address) ? kernel_stack : program->in_use;
    if (stack == nullptr) return;
    const size_t most = stack->size() < 4 ? stack->size() : 4;
    for (size_t i = 1; i <= most; ++i) {
        if ((*stack)[stack->size() - i].next != address) continue;
        stack->resize(stack->size() - i);
        return;
    }
}

void add_frames(Sample& sample, const Stack* stack) {
    if (stack == nullptr) return;
    for (size_t i = stack->size(); i > 0 && sample.depth < depth_max; --i) {
        sample.frames[sample.depth++] = (*stack)[i - 1].place;
    }
}

void count_sample(const Sample& wanted) {
    uint64_t mixed = wanted.region;
    for (size_t i = 0; i < wanted.depth; ++i)
        mixed = (mixed ^ wanted.frames[i]) * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < 64; ++i) {
        Sample& sample = table->samples[((mixed >> 32) + i) % samples_max];
        if (sample.depth == 0) sample = wanted;
        const size_t bytes = wanted.depth * sizeof(uint64_t);
        if (sample.region == wanted.region && sample.depth == wanted.depth &&
            memcmp(sample.frames, wanted.frames, bytes) == 0) {
            ++sample.count;
            return;
        }
    }
    ++table->lost_samples;
}

void take_sample(uint64_t address) {
    // Between 1 and 8192, 4096 in the middle, so that no loop of the guest keeps in step.
    static uint64_t random = 1;
    random = random * 6364136223846793005u + 1442695040888963407u;
    until_sample += static_cast<int64_t>(random >> 51) + 1;
    Sample sample = {0, current_region, 1, {address}};
    if (in_kernel) add_frames(sample, kernel_stack);
    add_frames(sample, program->in_use);
    count_sample(sample);
}

// Code of a program runs in another region than before.
void change_region(uint64_t region, bool came_from_kernel) {
    Program*& owner = program_of_region[region];
    if (!came_from_kernel) {
        owner = program;
    } else if (owner == nullptr) {
        owner = new Program;
    }
    program = owner;
    current_region = region;
}

void executed(unsigned /*cpu*/, void* argument) {
    Block& block = *static_cast<Block*>(argument);
    const bool was_in_kernel = in_kernel;
    in_kernel = is_kernel(block.address);
    if (in_kernel && !was_in_kernel) kernel_stack = nullptr;
    if (!in_kernel && current_region != block.address >> 21) {
        change_region(block.address >> 21, was_in_kernel);
    }
    if (returning) came_back(block.address);
    returning = block.returns;
    if (block.entry == nullptr || block.region != current_region) {
        block.region = current_region;
        block.entry = find_entry(block);
    }
    if (block.entry != nullptr) {
        ++block.entry->executed;
    } else {
        table->lost += block.instructions;
    }
    until_sample -= static_cast<int64_t>(block.instructions);
    if (until_sample <= 0) take_sample(block.address);
}

enum class Jump { other, call, back };

// What an instruction is, by its first bytes behind prefixes (Intel SDM volume 2, 2.1 and 2.2.1).
Jump kind_of(const uint8_t* bytes, size_t size) {
    size_t at = 0;
    const auto is_prefix = [](uint8_t byte) {
        return byte == 0x66 || byte == 0xf2 || byte == 0xf3 || byte == 0x2e || byte == 0x3e ||
               byte == 0x64 || byte == 0x65 || (byte & 0xf0) == 0x40;
    };
    while (at < size && is_prefix(bytes[at])) ++at;
    if (at >= size) return Jump::other;
    if (bytes[at] == 0xe8) return Jump::call;
    if (bytes[at] == 0xc3 || bytes[at] == 0xc2) return Jump::back;
    const bool group = bytes[at] == 0xff && at + 1 < size;
    return group && (bytes[at + 1] >> 3 & 7) == 2 ? Jump::call : Jump::other;
}

// Calls and returns are the last of their block.
void watch_stack(Block& block, qemu_plugin_insn* last) {
    constexpr int writes = 2;
    // Safety: the bytes of the instruction, which its size is of.
    const auto* bytes = static_cast<const uint8_t*>(qemu_plugin_insn_data(last));
    const size_t size = qemu_plugin_insn_size(last);
    const Jump kind = kind_of(bytes, size);
    block.last = qemu_plugin_insn_vaddr(last);
    block.next = block.last + size;
    block.returns = kind == Jump::back;
    if (kind == Jump::call) qemu_plugin_register_vcpu_mem_cb(last, called, 0, writes, &block);
}

void translated(qemu_plugin_id_t /*id*/, qemu_plugin_tb* code) {
    // Code that is translated anew is the same block, and nothing is ever forgotten.
    static std::map<std::pair<uint64_t, uint64_t>, Block> blocks;
    const uint64_t address = qemu_plugin_tb_vaddr(code);
    const uint64_t instructions = qemu_plugin_tb_n_insns(code);
    Block& block =
        blocks.try_emplace({address, instructions}, Block{address, instructions}).first->second;
    qemu_plugin_register_vcpu_tb_exec_cb(code, executed, 0, &block);
    watch_stack(block, qemu_plugin_tb_get_insn(code, instructions - 1));
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
