// SPDX-License-Identifier: MIT
// A client that says what it was told to, and a site in memory.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <string>

#include "services/http/session/session.h"

namespace annulus::http::test {

class FakePeer final : public Peer {
public:
    // Reads give these one by one; then the client is silent, or ends if `ends`.
    std::deque<std::string> says;
    bool ends = true;
    std::string heard;
    bool finished = false;
    size_t takes_at_most = SIZE_MAX;  // bytes; then writes fail
    uint64_t time = 1;
    uint64_t waits = 0;                   // time that passes before each read
    uint64_t in_place_from = UINT64_MAX;  // bytes of a body that are put into `memory`
    std::array<std::byte, 1000> memory{};

    Result<size_t> read(std::span<std::byte> space, uint64_t deadline) override {
        time += waits;
        if (time > deadline) {
            time = deadline;
            return Error::timed_out;
        }
        if (says.empty()) {
            if (ends) return size_t{0};
            time = deadline;
            return Error::timed_out;
        }
        std::string& first = says.front();
        const size_t count = std::min(space.size(), first.size());
        std::copy_n(std::as_bytes(std::span(first)).begin(), count, space.begin());
        first.erase(0, count);
        if (first.empty()) says.pop_front();
        return count;
    }
    Result<void> write(std::span<const std::byte> bytes, uint64_t) override {
        if (heard.size() + bytes.size() > takes_at_most) return Error::closed;
        // Safety: bytes may be read as characters.
        heard.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return {};
    }
    bool takes_in_place(uint64_t bytes) override { return bytes >= in_place_from; }
    Result<std::span<std::byte>> place(uint64_t) override {
        if (heard.size() == takes_at_most) return Error::closed;
        return std::span(memory).first(std::min(memory.size(), takes_at_most - heard.size()));
    }
    void put(size_t bytes) override { static_cast<void>(write(std::span(memory).first(bytes), 0)); }
    void finish(uint64_t) override { finished = true; }
    uint64_t now() override { return time; }
    uint64_t idle_time() override { return 15'000'000'000; }
};

class FakeSite final : public Site {
public:
    std::map<std::string, std::string, std::less<>> files;  // a name that ends with '/': a folder
    uint64_t promised_more = 0;  // bytes that the size says and the file has not
    std::string last_asked;
    bool at_hand = false;  // all bytes of a file are, as of one in a cache

    Result<Found> open(std::string_view path) override {
        last_asked = path;
        const std::string name(path);
        if (files.contains(name + "/")) return Found{true, 0};
        const auto found = files.find(name);
        if (found == files.end()) return Error::not_found;
        open_ = &found->second;
        return Found{false, open_->size() + promised_more};
    }
    std::span<const std::byte> contents() override {
        return at_hand ? std::as_bytes(std::span(*open_)) : std::span<const std::byte>();
    }
    Result<size_t> read(uint64_t offset, std::span<std::byte> space) override {
        if (offset >= open_->size()) return size_t{0};
        const auto rest = std::as_bytes(std::span(*open_)).subspan(offset);
        const size_t count = std::min(rest.size(), space.size());
        std::copy_n(rest.begin(), count, space.begin());
        return count;
    }
    void close() override { open_ = nullptr; }

private:
    std::string* open_ = nullptr;
};

// What a client that sends `text` and then nothing more hears.
inline std::string answer_to(FakeSite& site, const std::string& text) {
    FakePeer peer;
    peer.says = {text};
    Session session(peer, site);
    session.run();
    return peer.heard;
}

}  // namespace annulus::http::test
