// SPDX-License-Identifier: MIT
// The objects that init serves to programs.
#include "services/init/served_objects.h"

#include "abi/directory.h"
#include "abi/source.h"
#include "abi/stream.h"

#include <memory>
#include <new>

namespace annulus::init {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
    // Safety: any bytes may be looked at as characters.
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class ExportDirectory final : public ServedByThis {
public:
    ExportDirectory(Shared& shared, uint16_t program, uint32_t run)
        : shared_(shared), program_(program), run_(run) {}

    Answer handle(Request& request) override {
        if (request.is(abi::Verb::get, abi::get_protocol)) {
            return Answer::with_words(abi::Protocol::directory, abi::directory_version,
                                      request.block_bytes());
        }
        if (!request.is(abi::Verb::share, abi::directory_share)) return Error::bad_operation;
        return publish(request);
    }
    void closed() override { delete this; }

private:
    // The object goes back with any error before it is published.
    Result<void> publish(Request& request) {
        const auto object = request.peek_handle<ObjectReference>(0);
        if (object.empty()) return Status(Error::bad_argument, 0);
        const auto info = TRY(object.get_info());
        const Export entry = {object.value(), static_cast<abi::ObjectType>(info.type)};
        {
            Lock lock(shared_.mutex);
            const Error error =
                shared_.exports.publish(program_, run_, text_of(request.bytes()), entry);
            if (error != Error::ok) return error;
            static_cast<void>(request.take_handle<Object>(0).release());
        }
        return shared_.doorbell.ring();
    }

    Shared& shared_;
    uint16_t program_;
    uint32_t run_;
};

class LogStream final : public ServedByThis {
public:
    LogStream(Shared& shared, uint16_t program) : shared_(shared), program_(program) {}

    Answer handle(Request& request) override {
        if (request.is(abi::Verb::get, abi::get_protocol)) {
            return Answer::with_words(abi::Protocol::stream, abi::stream_version,
                                      request.block_bytes());
        }
        if (!request.is(abi::Verb::write, abi::stream_write)) return Error::bad_operation;
        if (request.word(0) != 0) return Status(Error::bad_argument, 0);
        shared_.log.append(shared_.manifest.programs[program_].name, text_of(request.bytes()));
        return Answer::with_words(request.bytes().size());
    }
    void closed() override { delete this; }

private:
    Shared& shared_;
    uint16_t program_;
};

class Source final : public ServedByThis {
public:
    Source(Shared& shared, const Give& give) : shared_(shared), give_(give) {}

    Answer handle(Request& request) override {
        if (request.is(abi::Verb::get, abi::get_protocol)) {
            return Answer::with_words(abi::Protocol::source, abi::source_version,
                                      request.block_bytes());
        }
        if (!request.is(abi::Verb::open, abi::directory_open)) return Error::bad_operation;
        if (!request.bytes().empty()) return Error::not_found;
        // Flags say nothing here: the rights are the manifest's.
        if (!request.no_words_but(1u << 0)) return Error::bad_argument;
        if ((request.word(0) & ~abi::open_flags_all) != 0) return Error::bad_argument;
        auto copy = current();
        if (!copy.ok()) return copy.status();
        return Answer::with_handle(std::move(*copy));
    }
    void closed() override { delete this; }

private:
    // Under the lock, so that the object is not withdrawn meanwhile.
    Result<Object> current() {
        Lock lock(shared_.mutex);
        const Export& published = shared_.exports.at(give_.index);
        if (published.object == abi::no_handle) return Error::server_died;
        if (give_.rights_type != abi::ObjectType::any && give_.rights_type != published.type) {
            return Error::wrong_type;
        }
        return TRY(ObjectReference(published.object).get_duplicate(give_.rights, 0)).handle;
    }

    Shared& shared_;
    const Give& give_;
};

// The object belongs to its handles: it deletes itself when they are closed.
template <typename Kind>
Result<Served> serve(const Server& server, std::unique_ptr<Kind> object, abi::Rights rights) {
    if (object == nullptr) return Error::no_memory;
    Served handle = TRY(server.make_object(*object, rights));
    static_cast<void>(object.release());
    return handle;
}

}  // namespace

Result<Served> make_directory(const Server& server, Shared& shared, uint16_t program,
                              uint32_t run) {
    return serve(
        server,
        std::unique_ptr<ExportDirectory>(new (std::nothrow) ExportDirectory(shared, program, run)),
        abi::right_of(abi::Verb::share) | abi::right_of(abi::Verb::get));
}

Result<Served> make_source(const Server& server, Shared& shared, const Give& give) {
    return serve(server, std::unique_ptr<Source>(new (std::nothrow) Source(shared, give)),
                 abi::right_of(abi::Verb::open) | abi::right_of(abi::Verb::get));
}

Result<Served> make_log(const Server& server, Shared& shared, uint16_t program) {
    return serve(server, std::unique_ptr<LogStream>(new (std::nothrow) LogStream(shared, program)),
                 abi::right_of(abi::Verb::write) | abi::right_of(abi::Verb::get));
}

}  // namespace annulus::init
