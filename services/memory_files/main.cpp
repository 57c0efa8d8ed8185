// SPDX-License-Identifier: MIT
// An in-memory file system (abi/file.h): publishes its root directory as `files`, or under the name
// that the argument name=<name> gives.
//
// It holds as much as its budget has room for. What one client may use of that is half, or what
// the argument client_percent=<1..100> says. It takes 64 requests at once, two batches of 32 by a
// ring, or what the argument slots=<1..1024> says; each has a block of 16 KiB.
#include "runtime/file_server.h"
#include "runtime/program.h"
#include "services/memory_files/tree.h"

#include <algorithm>
#include <new>

namespace annulus::memory_files {
namespace {

constexpr size_t block_bytes = 16 * 1024;

// An opened file or directory; one on which nothing is open yet gets no requests.
class OpenedNode final : public ServedFile {
public:
    OpenedNode(const Server& server, FileChannels& channels, Tree& tree)
        : ServedFile(server, &channels), tree_(tree) {}
    ~OpenedNode() override {
        if (opened_.node != nullptr) tree_.close(opened_);
    }

    // For the service itself.
    Result<void> open_root() {
        opened_ = TRY(tree_.open(tree_.root(), "", 0, own_client));
        return {};
    }

private:
    // No client has this key.
    static constexpr Client own_client = 0;

    Node& node() const { return *opened_.node; }

    Result<FileState> state() override {
        return FileState{node().kind(), node().size(), 0, node().id()};
    }
    std::unique_ptr<ServedFile> make_unopened() const override {
        return std::unique_ptr<ServedFile>(new (std::nothrow)
                                               OpenedNode(server(), *channels(), tree_));
    }
    Result<void> open(ServedFile& target, std::string_view path, uint64_t flags,
                      Client client) override {
        static_cast<OpenedNode&>(target).opened_ = TRY(tree_.open(node(), path, flags, client));
        return {};
    }

    Result<size_t> read(uint64_t offset, UntrustedBytes space) override {
        return tree_.read(node(), offset, space);
    }
    Result<size_t> write(uint64_t offset, UntrustedBytes bytes, Client client) override {
        return tree_.write(node(), offset, bytes, client);
    }
    Result<void> resize(uint64_t size, Client) override { return tree_.resize(node(), size); }

    Result<uint64_t> list(uint64_t cursor, RecordWriter& records) override {
        return tree_.list(node(), cursor, records);
    }
    Result<void> create_directory(std::string_view path, Client client) override {
        return tree_.create_directory(node(), path, client);
    }
    Result<void> remove(std::string_view path) override { return tree_.remove(node(), path); }
    Result<void> rename(std::string_view from, std::string_view to, bool replace) override {
        return tree_.rename(node(), from, to, replace);
    }

    Tree& tree_;
    Opened opened_;
};

// What the budget has room for. The heap takes a quarter more than a page for each; a node with its
// name and its place in the table of names, or an opened object, takes less than a tenth of one.
Result<Limits> limits_of(BudgetReference budget, uint64_t percent) {
    const abi::BudgetLedger ledger = TRY(budget.get_ledger());
    constexpr auto pages = static_cast<unsigned>(abi::Resource::pages);
    const uint64_t free = ledger.limit[pages] - ledger.used[pages] - ledger.lent[pages];
    const Amount all = {free * 6 / 10, free / 2, free / 2};
    const auto share = [&](uint64_t amount) {
        return std::max<uint64_t>(amount * percent / 100, 1);
    };
    return Limits{all, {share(all.pages), share(all.nodes), share(all.opened)}};
}

// The number that the argument `name` gives, from 1 to `most`, or `usual` without it. bad_argument.
Result<uint64_t> number_of(const Environment& environment, std::string_view name, uint64_t usual,
                           uint64_t most) {
    const auto text = environment.argument(name);
    if (!text.ok()) return usual;
    uint64_t number = 0;
    for (const char c : *text) {
        if (c < '0' || c > '9' || number > most) return Error::bad_argument;
        number = number * 10 + static_cast<uint64_t>(c - '0');
    }
    if (number < 1 || number > most) return Error::bad_argument;
    return number;
}

Result<void> run(const Environment& environment) {
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const auto exports = TRY(environment.handle<Directory>(names::exports));
    const auto name = environment.argument("name");
    const uint64_t percent = TRY(number_of(environment, "client_percent", 50, 100));
    const uint64_t slots = TRY(number_of(environment, "slots", 64, abi::table_slots_max));
    Server server = TRY(Server::create(static_cast<unsigned>(slots), block_bytes));
    const auto channels = TRY(FileChannels::create(server, budget));
    const auto tree = TRY(Tree::create(TRY(limits_of(budget, percent))));
    auto root =
        std::unique_ptr<OpenedNode>(new (std::nothrow) OpenedNode(server, *channels, *tree));
    if (root == nullptr) return Error::no_memory;
    TRY(root->open_root());
    constexpr abi::Rights rights = abi::open_rights(abi::open_read | abi::open_write);
    TRY(exports.publish(name.ok() ? *name : "files",
                        TRY(serve_file(server, std::move(root), rights))));
    return server.run(*channels);
}

}  // namespace
}  // namespace annulus::memory_files

annulus::Result<void> annulus::program_main(Environment& environment) {
    return memory_files::run(environment);
}
