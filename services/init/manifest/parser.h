// SPDX-License-Identifier: MIT
// Recursive-descent parser of the manifest: text to description, without the checks that need the
// whole manifest. The grammar is in docs/guide/manifest.md; each rule there is a function here.
#pragma once

#include "base/format.h"
#include "services/init/manifest.h"
#include "services/init/manifest/lexer.h"
#include "services/init/manifest/number.h"
#include "services/init/manifest/report.h"

namespace annulus::init {

// What a number may be and how messages call it, such as "a CPU weight".
struct NumberRule {
    std::string_view expected;
    Unit unit = Unit::none;
    uint64_t minimum = 0;
    uint64_t maximum = ~uint64_t{0};
};

class Parser {
public:
    Parser(std::string_view text, Manifest& manifest, ManifestError& error)
        : text_(text), lexer_(text), manifest_(manifest), error_(error) {}

    // False with the first error. Every rule below leaves `token_` behind what it read.
    [[nodiscard]] bool run();

private:
    // parser.cpp: programs and their statements
    bool read_program();
    bool read_statements(Program& program);
    bool read_statement(Program& program);
    bool read_file(Program& program);
    bool read_argument(Program& program);
    bool read_provide(Program& program);
    bool read_exit(Program& program);
    bool read_exit_action(ExitPolicy& policy);
    bool check_complete(const Program& program);
    bool first_time(const Place& earlier, std::string_view what);

    // give.cpp: what programs are handed
    bool read_give(Program& program);
    bool read_source(Give& give);
    bool read_source_numbers(Give& give);
    bool read_source_path(Give& give);
    bool read_rights(Give& give);
    bool read_right(Give& give, abi::Rights& rights);

    // budget.cpp
    bool read_budget(ManifestBudget& budget);
    bool read_resource(ManifestBudget& budget);
    bool check_all_stated(const ManifestBudget& budget);

    // parser.cpp: tokens
    void advance() { token_ = lexer_.next(); }
    void skip_lines();
    [[nodiscard]] bool at_word(std::string_view word) const {
        return token_.kind == TokenKind::word && token_.text == word;
    }
    bool read_name(std::string_view expected, std::string_view& name);
    bool read_number(const NumberRule& rule, uint64_t& value);
    bool read_word(std::string_view word);  // exactly this one
    bool end_statement();

    // Both report and return false. `unexpected` names the current token.
    bool unexpected(std::string_view expected, ManifestFault fault = ManifestFault::unexpected);
    template <typename... Arguments>
    bool fail(ManifestFault fault, Place place,
              FormatPattern<std::type_identity_t<Arguments>...> pattern,
              const Arguments&... arguments) {
        return report(error_, fault, place, pattern, arguments...);
    }

    std::string_view text_;
    Lexer lexer_;
    Token token_;
    Manifest& manifest_;
    ManifestError& error_;
};

}  // namespace annulus::init
