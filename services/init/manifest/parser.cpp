// SPDX-License-Identifier: MIT
// Parser of the manifest: programs, their statements, and the tokens they are made of.
#include "services/init/manifest/parser.h"

#include "base/archive.h"

namespace annulus::init {
namespace {

constexpr NumberRule restarts_rule{"a number of restarts", Unit::none, 1, manifest_restarts_max};
constexpr NumberRule window_rule{"a duration such as 500ms or 60s", Unit::duration, 1};

uint16_t narrow(size_t count) { return static_cast<uint16_t>(count); }

}  // namespace

bool Parser::run() {
    if (text_.size() > manifest_text_max) {
        return fail(ManifestFault::too_many, {1, 1}, "the manifest has {} bytes, the limit is {}",
                    text_.size(), manifest_text_max);
    }
    advance();
    for (skip_lines(); token_.kind != TokenKind::end; skip_lines()) {
        const Token keyword = token_;
        bool read = false;
        if (at_word("program")) {
            advance();
            read = read_program();
        } else if (at_word("budget")) {
            if (!first_time(manifest_.total.place, "budget")) return false;
            manifest_.total.place = keyword.place;
            advance();
            read = read_budget(manifest_.total);
        } else {
            return unexpected("program or budget");
        }
        if (!read || !end_statement()) return false;
    }
    return true;
}

bool Parser::read_program() {
    const Token name = token_;
    if (manifest_.program_count == manifest_programs_max) {
        return fail(ManifestFault::too_many, name.place, "more than {} programs",
                    manifest_programs_max);
    }
    Program& program = manifest_.programs[manifest_.program_count];
    program = {};
    if (!read_name("the program's name", program.name)) return false;
    program.place = name.place;
    for (const Program& earlier : manifest_.all_programs()) {
        if (earlier.name != program.name) continue;
        return fail(ManifestFault::duplicate, name.place,
                    "a second program \"{}\"; the first is in line {}", program.name,
                    earlier.place.line);
    }
    manifest_.program_count++;
    program.gives.first = narrow(manifest_.give_count);
    program.arguments.first = narrow(manifest_.argument_count);
    program.provides.first = narrow(manifest_.provide_count);
    if (!read_statements(program) || !check_complete(program)) return false;
    if (program.on_fault.place.line == 0) program.on_fault = program.on_exit;
    return true;
}

bool Parser::read_statements(Program& program) {
    if (token_.kind != TokenKind::open) return unexpected("\"{\"");
    advance();
    for (skip_lines(); token_.kind != TokenKind::close; skip_lines()) {
        if (!read_statement(program) || !end_statement()) return false;
    }
    advance();
    return true;
}

bool Parser::read_statement(Program& program) {
    struct Statement {
        std::string_view word;
        bool (Parser::*read)(Program& program);
    };
    static constexpr Statement statements[] = {
        {"file", &Parser::read_file},       {"argument", &Parser::read_argument},
        {"provide", &Parser::read_provide}, {"give", &Parser::read_give},
        {"on", &Parser::read_exit},
    };
    for (const Statement& statement : statements) {
        if (at_word(statement.word)) return (this->*statement.read)(program);
    }
    if (!at_word("budget")) {
        return unexpected("file, budget, argument, give, provide, on or \"}\"");
    }
    if (!first_time(program.budget.place, "budget")) return false;
    program.budget.place = token_.place;
    advance();
    return read_budget(program.budget) && check_all_stated(program.budget);
}

bool Parser::read_file(Program& program) {
    if (!program.file.empty()) {
        return fail(ManifestFault::duplicate, token_.place, "a second file for program \"{}\"",
                    program.name);
    }
    advance();
    if (token_.kind != TokenKind::string) return unexpected("the file's path in quotes");
    if (!is_plain_path(token_.text)) {
        return unexpected("a path in the boot archive such as \"drivers/console\"",
                          ManifestFault::bad_value);
    }
    program.file = token_.text;
    advance();
    return true;
}

bool Parser::read_argument(Program& program) {
    if (manifest_.argument_count == manifest_arguments_max) {
        return fail(ManifestFault::too_many, token_.place, "more than {} arguments",
                    manifest_arguments_max);
    }
    advance();
    if (token_.kind != TokenKind::string) return unexpected("an argument in quotes");
    if (token_.text.size() > manifest_argument_max) {
        return fail(ManifestFault::too_many, token_.place,
                    "an argument of {} bytes, the limit is {}", token_.text.size(),
                    manifest_argument_max);
    }
    manifest_.arguments[manifest_.argument_count++] = token_.text;
    program.arguments.count++;
    advance();
    return true;
}

bool Parser::read_provide(Program& program) {
    if (manifest_.provide_count == manifest_provides_max) {
        return fail(ManifestFault::too_many, token_.place, "more than {} provided names",
                    manifest_provides_max);
    }
    advance();
    Provide& provide = manifest_.provides[manifest_.provide_count];
    provide = {{}, narrow(manifest_.program_count - 1), token_.place};
    if (!read_name("the name to provide", provide.name)) return false;
    manifest_.provide_count++;
    program.provides.count++;
    return true;
}

bool Parser::read_exit(Program& program) {
    const Place place = token_.place;
    advance();
    const bool exit = at_word("exit");
    if (!exit && !at_word("fault")) return unexpected("exit or fault");
    ExitPolicy& policy = exit ? program.on_exit : program.on_fault;
    if (!first_time(policy.place, exit ? "on exit" : "on fault")) return false;
    policy.place = place;
    advance();
    return read_exit_action(policy);
}

bool Parser::read_exit_action(ExitPolicy& policy) {
    const auto read_end = [this](ExitAction& action, std::string_view expected) {
        const bool down = at_word("shutdown");
        if (!down && !at_word("nothing")) return unexpected(expected);
        action = down ? ExitAction::shut_down : ExitAction::nothing;
        advance();
        return true;
    };
    if (!at_word("restart")) return read_end(policy.action, "nothing, restart or shutdown");
    policy.action = ExitAction::restart;
    advance();
    uint64_t restarts = 0;
    if (!read_number(restarts_rule, restarts)) return false;
    policy.restarts = static_cast<uint32_t>(restarts);
    if (!read_word("per") || !read_number(window_rule, policy.window_ns)) return false;
    if (!at_word("then")) return true;
    advance();
    return read_end(policy.otherwise, "nothing or shutdown");
}

bool Parser::check_complete(const Program& program) {
    std::string_view missing;
    if (program.file.empty()) missing = "file \"path\"";
    if (missing.empty() && program.budget.place.line == 0) missing = "budget { ... }";
    if (missing.empty() && program.on_exit.place.line == 0) missing = "on exit ...";
    if (missing.empty()) return true;
    return fail(ManifestFault::missing, program.place, "program \"{}\" has no line: {}",
                program.name, missing);
}

bool Parser::first_time(const Place& earlier, std::string_view what) {
    if (earlier.line == 0) return true;
    return fail(ManifestFault::duplicate, token_.place, "a second \"{}\"; the first is in line {}",
                what, earlier.line);
}

void Parser::skip_lines() {
    while (token_.kind == TokenKind::end_of_line) advance();
}

bool Parser::read_name(std::string_view expected, std::string_view& name) {
    if (token_.kind != TokenKind::word) return unexpected(expected);
    if (token_.text.size() > manifest_name_max) {
        return fail(ManifestFault::too_many, token_.place, "a name of {} bytes, the limit is {}",
                    token_.text.size(), manifest_name_max);
    }
    name = token_.text;
    advance();
    return true;
}

bool Parser::read_number(const NumberRule& rule, uint64_t& value) {
    if (token_.kind != TokenKind::number) return unexpected(rule.expected);
    const auto number = parse_number(token_.text, rule.unit);
    if (!number) return unexpected(rule.expected, ManifestFault::bad_value);
    if (*number < rule.minimum || *number > rule.maximum) {
        if (rule.maximum == ~uint64_t{0})
            return unexpected(rule.expected, ManifestFault::bad_value);
        std::array<char, 128> text{};
        const auto expected = format(std::span<char>(text), "{} from {} to {}", rule.expected,
                                     rule.minimum, rule.maximum);
        return unexpected(expected, ManifestFault::bad_value);
    }
    value = *number;
    advance();
    return true;
}

bool Parser::read_word(std::string_view word) {
    if (!at_word(word)) return unexpected(word);
    advance();
    return true;
}

bool Parser::end_statement() {
    if (token_.kind == TokenKind::end_of_line || token_.kind == TokenKind::end ||
        token_.kind == TokenKind::close) {
        return true;
    }
    return unexpected("the end of the line");
}

bool Parser::unexpected(std::string_view expected, ManifestFault fault) {
    std::array<char, 128> text{};
    TextBuffer found(text);
    describe(token_, found);
    return fail(fault, token_.place, "expected {}, found {}", expected, found.text());
}

}  // namespace annulus::init
