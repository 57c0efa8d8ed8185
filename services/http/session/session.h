// SPDX-License-Identifier: MIT
// One connection of a client: its requests one after the other, files as answers. Policy-free: the
// peer and the files are interfaces.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "services/http/message/request.h"
#include "services/http/message/response.h"
#include "services/http/message/target.h"

namespace annulus::http {

// The client's connection. Deadlines and times in nanoseconds.
class Peer {
public:
    // At least one byte; 0: the client sends no more. Any error ends the session.
    virtual Result<size_t> read(std::span<std::byte> space, uint64_t deadline) = 0;
    virtual Result<void> write(std::span<const std::byte> bytes, uint64_t deadline) = 0;

    // A head and so many bytes of body follow. True: the body is put into the peer's own memory:
    // read into place(), which is not empty and only for writing, and passed on by put().
    virtual bool takes_in_place(uint64_t bytes) = 0;
    virtual Result<std::span<std::byte>> place(uint64_t deadline) = 0;
    virtual void put(size_t bytes) = 0;

    // The last response was written: sees to it that the client gets it even if it still sends.
    virtual void finish(uint64_t deadline) = 0;

    virtual uint64_t now() = 0;
    // How long a client without a further request may stay; less when others wait for its place.
    virtual uint64_t idle_time() = 0;

protected:
    ~Peer() = default;
};

// The files. One is open at a time.
class Site {
public:
    struct Found {
        bool is_folder = false;
        uint64_t size = 0;
    };

    // Opens `path`, which was checked. not_found, wrong_type (no folder on the way), no_right.
    virtual Result<Found> open(std::string_view path) = 0;
    // All bytes of the open file, if they are at hand; else nothing, and read() has them.
    virtual std::span<const std::byte> contents() { return {}; }
    // Of the open file; 0 at its end.
    virtual Result<size_t> read(uint64_t offset, std::span<std::byte> space) = 0;
    virtual void close() = 0;

protected:
    ~Site() = default;
};

// Times that slow clients have.
inline constexpr uint64_t header_time = 10'000'000'000;  // from the first byte to the last
inline constexpr uint64_t write_time = 20'000'000'000;   // for each part of a response
inline constexpr uint64_t finish_time = 2'000'000'000;

inline constexpr std::string_view index_name = "index.html";

class Session {
public:
    Session(Peer& peer, Site& site) : peer_(peer), site_(site) {}

    // Until the client or the server ends the connection.
    void run();

    // Responses that were written whole.
    [[nodiscard]] uint64_t served() const { return served_; }

private:
    // What comes after a step.
    enum class Next : uint8_t {
        go_on,
        finish,  // the response is complete, and the last
        drop,    // nothing more can be said
    };

    Next serve_one();
    bool read_request(Next& next);
    Next respond(const Request& request);
    Next respond_file(const Request& request, std::string_view path, uint64_t size);
    Next respond_failure(unsigned status);
    Next respond_status(unsigned status, bool with_body, bool closes,
                        std::string_view location = {});
    unsigned find(FilePath& path, Site::Found& found);
    bool send(std::string_view head, uint64_t size);
    bool send_contents(size_t head, std::span<const std::byte> bytes);
    bool send_in_place(std::string_view head, uint64_t size);
    bool drop_body(uint64_t bytes);
    bool write(std::span<const std::byte> bytes);
    [[nodiscard]] std::string_view waiting() const {
        return std::string_view(input_.data(), input_size_).substr(input_begin_);
    }

    Peer& peer_;
    Site& site_;
    uint64_t served_ = 0;
    size_t input_begin_ = 0;
    size_t input_size_ = 0;
    RequestParser parser_;
    std::array<char, 4096> input_;
    std::array<std::byte, 16384> output_;
};

}  // namespace annulus::http
