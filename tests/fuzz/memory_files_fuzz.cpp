// SPDX-License-Identifier: MIT
// Fuzz target of the in-memory file system: any sequence of operations gives the answers of a
// simple model, and an empty tree holds nothing.
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "abi/file.h"
#include "services/memory_files/tree.h"

namespace {

using namespace annulus;
using namespace annulus::memory_files;

constexpr Limits limits = {.all = {1u << 20, 1u << 12, 16}, .client = {1u << 20, 1u << 12, 16}};
constexpr uint64_t client = 7;
constexpr uint64_t size_max = 600 * page_bytes;

void require(bool condition) {
    if (!condition) abort();
}

// The model: a map from names, without sharing of code or structure with what is tested.
struct Item {
    bool directory = false;
    std::map<uint64_t, unsigned char> bytes;  // those that were written
    uint64_t size = 0;
    std::map<std::string, std::shared_ptr<Item>> children;
};
using ItemPointer = std::shared_ptr<Item>;

struct Input {
    const uint8_t* at;
    const uint8_t* end;
    unsigned next() { return at == end ? 0 : *at++; }
    bool done() const { return at == end; }
};

class Session {
public:
    explicit Session(Input input)
        : input_(input), tree_(Tree::create(limits).value()), root_(std::make_shared<Item>()) {
        root_->directory = true;
    }

    void run() {
        while (!input_.done()) step();
        for (const Use& use : opened_) tree_->close(use.opened);
        opened_.clear();
        clear("", *root_);
        const Amount& used = tree_->used();
        require(used.nodes == 0 && used.pages == 0 && used.opened == 0);
    }

private:
    struct Use {
        Opened opened;
        ItemPointer item;
    };
    struct Site {
        ItemPointer directory;  // null: the way there fails with `error`
        std::string name;
        ItemPointer found;
        Error error = Error::ok;
    };

    // Few names, so that they meet.
    std::string path() {
        const unsigned choice = input_.next();
        std::string path(1, static_cast<char>('a' + choice % 4));
        if ((choice & 16) != 0) path += std::string("/") + static_cast<char>('a' + choice / 32 % 3);
        if ((choice & 128) != 0) path += "/a";
        return path;
    }

    Site site(const std::string& path) const {
        ItemPointer at = root_;
        size_t begin = 0;
        for (;;) {
            const size_t slash = path.find('/', begin);
            const std::string name = path.substr(begin, slash - begin);
            if (!at->directory) return {nullptr, "", nullptr, Error::wrong_type};
            const auto child = at->children.find(name);
            const ItemPointer found = child == at->children.end() ? nullptr : child->second;
            if (slash == std::string::npos) return {at, name, found, Error::ok};
            if (found == nullptr) return {nullptr, "", nullptr, Error::not_found};
            at = found;
            begin = slash + 1;
        }
    }

    void open() {
        const std::string where = path();
        const uint64_t flags = input_.next() & 63;
        auto opened = tree_->open(tree_->root(), where, flags, client);
        Site at = site(where);
        Error wanted = at.error;
        const bool create = (flags & abi::open_create) != 0;
        const bool as_directory = (flags & abi::open_directory) != 0;
        if (wanted == Error::ok && at.found == nullptr && !create) wanted = Error::not_found;
        if (wanted == Error::ok && at.found != nullptr && (flags & abi::open_exclusive) != 0) {
            wanted = Error::exists;
        }
        // Exclusive without create is refused before the tree sees it.
        if (wanted == Error::ok && at.found == nullptr) {
            at.found = std::make_shared<Item>();
            at.found->directory = as_directory;
            at.directory->children[at.name] = at.found;
        }
        if (wanted == Error::ok && as_directory && !at.found->directory) wanted = Error::wrong_type;
        if (wanted == Error::ok && (flags & abi::open_truncate) != 0) {
            if (at.found->directory) {
                wanted = Error::wrong_type;
            } else {
                at.found->bytes.clear();
                at.found->size = 0;
            }
        }
        require(opened.error() == wanted);
        if (!opened.ok()) return;
        if (opened_.size() == 8) {
            tree_->close(opened_.front().opened);
            opened_.erase(opened_.begin());
        }
        opened_.push_back({*opened, at.found});
    }

    void remove() {
        const std::string where = path();
        const Site at = site(where);
        Error wanted = at.error;
        if (wanted == Error::ok && at.found == nullptr) wanted = Error::not_found;
        if (wanted == Error::ok && !at.found->children.empty()) wanted = Error::wrong_state;
        require(tree_->remove(tree_->root(), where).error() == wanted);
        if (wanted == Error::ok) at.directory->children.erase(at.name);
    }

    static bool is_below(const Item& item, const Item& ancestor) {
        if (&item == &ancestor) return true;
        for (const auto& [name, child] : ancestor.children) {
            if (is_below(item, *child)) return true;
        }
        return false;
    }

    void rename() {
        const std::string from = path();
        const std::string to = path();
        const bool replace = (input_.next() & 1) != 0;
        const Site source = site(from);
        const Site target = site(to);
        Error wanted = source.error;
        if (wanted == Error::ok && source.found == nullptr) wanted = Error::not_found;
        if (wanted == Error::ok) wanted = target.error;
        if (wanted == Error::ok && is_below(*target.directory, *source.found)) {
            wanted = Error::bad_argument;
        }
        if (wanted == Error::ok && target.found != nullptr && target.found != source.found) {
            if (!replace) {
                wanted = Error::exists;
            } else if (target.found->directory != source.found->directory) {
                wanted = Error::wrong_type;
            } else if (!target.found->children.empty()) {
                wanted = Error::wrong_state;
            }
        }
        require(tree_->rename(tree_->root(), from, to, replace).error() == wanted);
        if (wanted != Error::ok) return;
        source.directory->children.erase(source.name);
        target.directory->children[target.name] = source.found;
    }

    uint64_t offset() {
        const uint64_t low = input_.next();
        return (low | uint64_t{input_.next()} << 8) * 37 % size_max;
    }

    void write(const Use& use) {
        const uint64_t at = offset();
        std::vector<std::byte> bytes(input_.next() * 40, std::byte(input_.next() | 1));
        const auto count = tree_->write(*use.opened.node, at, UntrustedBytes::over(bytes), client);
        if (use.item->directory) return require(count.error() == Error::wrong_type);
        require(*count == bytes.size());
        if (bytes.empty()) return;
        for (size_t i = 0; i < bytes.size(); i++) {
            use.item->bytes[at + i] = static_cast<unsigned char>(bytes[i]);
        }
        use.item->size = std::max(use.item->size, at + bytes.size());
    }

    void read(const Use& use) {
        const uint64_t at = offset();
        std::vector<std::byte> space(input_.next() * 40);
        const auto count = tree_->read(*use.opened.node, at, UntrustedBytes::over(space));
        if (use.item->directory) return require(count.error() == Error::wrong_type);
        const uint64_t rest = at < use.item->size ? use.item->size - at : 0;
        require(*count == std::min<uint64_t>(rest, space.size()));
        for (size_t i = 0; i < *count; i++) {
            const auto byte = use.item->bytes.find(at + i);
            const unsigned char wanted = byte == use.item->bytes.end() ? 0 : byte->second;
            require(static_cast<unsigned char>(space[i]) == wanted);
        }
    }

    void resize(const Use& use) {
        const uint64_t size = offset();
        const auto result = tree_->resize(*use.opened.node, size);
        if (use.item->directory) return require(result.error() == Error::wrong_type);
        require(result.ok());
        use.item->bytes.erase(use.item->bytes.lower_bound(size), use.item->bytes.end());
        use.item->size = size;
    }

    void list(const Use& use) {
        const size_t room = 24 + input_.next();
        std::set<std::string> seen;
        uint64_t cursor = 0;
        do {
            std::vector<std::byte> space(room);
            RecordWriter records(space);
            const auto next = tree_->list(*use.opened.node, cursor, records);
            if (!use.item->directory) return require(next.error() == Error::wrong_type);
            cursor = *next;
            std::span<const std::byte> bytes = std::span(space).first(records.used());
            DirectoryEntry entry;
            while (read_record(bytes, entry) == RecordRead::entry) {
                const auto child = use.item->children.find(std::string(entry.name));
                require(child != use.item->children.end());
                const Item& item = *child->second;
                require(item.directory == (entry.kind == abi::EntryKind::directory));
                require(entry.size == (item.directory ? item.children.size() : item.size));
                require(seen.insert(child->first).second);
            }
        } while (cursor != 0);
        require(seen.size() == use.item->children.size());
    }

    void step() {
        const unsigned what = input_.next() % 9;
        if (what < 3 || opened_.empty()) return what == 0 ? remove() : open();
        if (what == 3) return rename();
        const Use& use = opened_[input_.next() % opened_.size()];
        switch (what) {
            case 4: return write(use);
            case 5: return read(use);
            case 6: return resize(use);
            case 7: return list(use);
            default:
                tree_->close(use.opened);
                opened_.erase(opened_.begin() + (&use - opened_.data()));
        }
    }

    void clear(const std::string& prefix, const Item& directory) {
        for (const auto& [name, child] : directory.children) {
            clear(prefix + name + "/", *child);
            require(tree_->remove(tree_->root(), prefix + name).ok());
        }
    }

    Input input_;
    std::unique_ptr<Tree> tree_;
    ItemPointer root_;
    std::vector<Use> opened_;
};

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Session({data, data + size}).run();
    return 0;
}
