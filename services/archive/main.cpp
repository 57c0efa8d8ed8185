// SPDX-License-Identifier: MIT
// The boot archive as a read-only file system (abi/file.h): publishes its root directory as
// `archive_files`.
//
// It is handed the archive's memory as `archive`. A read copies. A map answers memory with the
// file's bytes and nothing else in it: a part of the archive's memory where the file has its pages
// for itself, otherwise a copy that is made once.
#include "base/align.h"
#include "runtime/file_server.h"
#include "runtime/program.h"
#include "services/archive/index.h"

#include <algorithm>
#include <new>

namespace annulus::archive {
namespace {

constexpr unsigned server_slots = 16;
constexpr size_t block_bytes = 16 * 1024;

// Of the memory that a map answers.
constexpr abi::Rights mapped_rights = abi::right_of(abi::Verb::read) |
                                      abi::right_of(abi::Verb::map) |
                                      abi::right_of(abi::Verb::get) | abi::right_execute;

// The archive, and a memory object for each file that was mapped once. There are no more of them
// than files, so clients cannot make this program spend more than the archive's size.
class Volume {
public:
    static Result<Volume> create(const Environment& environment);

    const Index& index() const { return index_; }

    // Memory that holds the file from its begin on, at this offset.
    Result<FileMemory> map(uint32_t node);

private:
    Volume(Index index, std::unique_ptr<Memory[]> mapped, MemoryReference memory,
           BudgetReference budget, std::span<const std::byte> bytes)
        : index_(std::move(index)),
          mapped_(std::move(mapped)),
          memory_(memory),
          budget_(budget),
          bytes_(bytes) {}

    bool has_own_pages(uint64_t begin, uint64_t size) const;
    Result<Memory> make_mapped(std::span<const std::byte> content) const;

    Index index_;
    std::unique_ptr<Memory[]> mapped_;  // by node; empty: not mapped yet
    MemoryReference memory_;
    BudgetReference budget_;
    std::span<const std::byte> bytes_;
};

Result<Volume> Volume::create(const Environment& environment) {
    const auto memory = TRY(environment.handle<Memory>("archive"));
    const auto process = TRY(environment.handle<Process>(names::process));
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const uint64_t bytes = TRY(memory.get_size()).pages * abi::page_size;
    const uint64_t address = TRY(process.map(memory, 0, bytes, 0, abi::map_read));
    // Safety: the kernel has just mapped these bytes, and nobody changes them.
    const auto* begin = reinterpret_cast<const std::byte*>(address);
    ArchiveFault fault;
    const auto archive = Archive::open({begin, bytes}, fault);
    if (!archive.has_value()) {
        log("byte {}: {}", fault.offset, describe(fault.error));
        return Error::wrong_version;
    }
    Index index = TRY(Index::create(*archive));
    std::unique_ptr<Memory[]> mapped(new (std::nothrow) Memory[index.count()]);
    if (mapped == nullptr) return Error::no_memory;
    return Volume(std::move(index), std::move(mapped), memory, budget, {begin, bytes});
}

// A file has its pages for itself if it begins with one and only zeros follow it in the last.
bool Volume::has_own_pages(uint64_t begin, uint64_t size) const {
    if (!is_aligned(begin, abi::page_size)) return false;
    const auto rest =
        bytes_.subspan(begin + size, align_up(begin + size, abi::page_size) - begin - size);
    return std::all_of(rest.begin(), rest.end(),
                       [](std::byte byte) { return byte == std::byte(); });
}

Result<Memory> Volume::make_mapped(std::span<const std::byte> content) const {
    const auto begin = static_cast<uint64_t>(content.data() - bytes_.data());
    const uint64_t pages = align_up(content.size(), abi::page_size) / abi::page_size;
    if (has_own_pages(begin, content.size())) return memory_.create_range(budget_, begin, pages);
    Memory copy = TRY(budget_.create_memory(pages, 0));
    TRY(copy.write_bytes(0, content));
    return copy;
}

Result<FileMemory> Volume::map(uint32_t node) {
    Memory& mapped = mapped_[node];
    if (mapped.empty()) mapped = TRY(make_mapped(index_.at(node).content));
    auto copy = TRY(mapped.get_duplicate(mapped_rights, 0));
    return FileMemory{Memory(copy.handle.release()), 0};
}

// An opened file or directory.
class OpenedEntry final : public ServedFile {
public:
    OpenedEntry(const Server& server, FileChannels& channels, Volume& volume, uint32_t node)
        : ServedFile(server, &channels), volume_(volume), node_(node) {}

private:
    const Node& node() const { return volume_.index().at(node_); }

    Result<FileState> state() override { return FileState{node().kind, node().size(), 0, node_}; }

    std::unique_ptr<ServedFile> make_unopened() const override {
        return std::unique_ptr<ServedFile>(new (std::nothrow)
                                               OpenedEntry(server(), *channels(), volume_, 0));
    }
    Result<void> open(ServedFile& target, std::string_view path, uint64_t flags,
                      Client client) override;

    Result<size_t> read(uint64_t offset, UntrustedBytes space) override {
        if (node().is_directory()) return Error::wrong_type;
        const auto content = node().content;
        if (offset >= content.size()) return size_t{0};
        const size_t count = std::min<uint64_t>(space.size(), content.size() - offset);
        // It fits: count is at most its size.
        static_cast<void>(space.store(0, content.subspan(offset, count)));
        return count;
    }

    Result<FileMemory> map(uint64_t offset, uint64_t length) override {
        if (node().is_directory()) return Error::wrong_type;
        const uint64_t size = node().content.size();
        if (offset > size || length > size - offset) return Error::out_of_range;
        FileMemory mapped = TRY(volume_.map(node_));
        mapped.offset = offset;
        return mapped;
    }

    Result<uint64_t> list(uint64_t cursor, RecordWriter& records) override {
        return volume_.index().list(node_, cursor, records);
    }

    Volume& volume_;
    uint32_t node_;
};

// How many objects one client has open is not counted: each costs some hundred bytes here, and more
// in the budget of whoever opened it.
Result<void> OpenedEntry::open(ServedFile& target, std::string_view path, uint64_t flags, Client) {
    const uint32_t found = TRY(volume_.index().walk(node_, path));
    if ((flags & abi::open_directory) != 0 && !volume_.index().at(found).is_directory()) {
        return Error::wrong_type;
    }
    static_cast<OpenedEntry&>(target).node_ = found;
    return {};
}

Result<void> run(const Environment& environment) {
    const auto exports = TRY(environment.handle<Directory>(names::exports));
    Volume volume = TRY(Volume::create(environment));
    Server server = TRY(Server::create(server_slots, block_bytes));
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const auto channels = TRY(FileChannels::create(server, budget));
    std::unique_ptr<ServedFile> root(new (std::nothrow) OpenedEntry(server, *channels, volume, 0));
    constexpr abi::Rights rights = abi::open_rights(abi::open_read);
    TRY(exports.publish("archive_files", TRY(serve_file(server, std::move(root), rights))));
    return server.run(*channels);
}

}  // namespace
}  // namespace annulus::archive

annulus::Result<void> annulus::program_main(Environment& environment) {
    return archive::run(environment);
}
