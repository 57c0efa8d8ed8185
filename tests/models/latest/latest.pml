// SPDX-License-Identifier: MIT
// The latest value (channel/latest_value.h): one writer that never waits, one reader, four slots.
//
// Build with -DCONFIGURATION_<NAME>, and with -DMUTANT_<NAME> to leave one thing out. The steps W1
// to W3 and R1 to R4 are those of channel/latest_value.h, P2 to P4 and S1 to S3 of channel/wake.h.
//
// Memory is weaker than that of x86: what the writer stores reaches memory in any order and at any
// time later, but for what the steps order; the reader's loads happen in any order likewise. A
// value is two words, both of which say which value it is. Numbers count modulo 8 and begin
// just before the wrap.

#if defined(CONFIGURATION_ORDER)
// Nobody sleeps, and the writer has no P2: W1 alone orders one value after the other.
#define VALUES 6
#elif defined(CONFIGURATION_WAKE)
#define VALUES 5
#define SLEEPS
#else
#error "choose a configuration"
#endif

#define MODULUS 8
#define START 5
#define DIFFERENCE(a, b) (((a) - (b)) & (MODULUS - 1))
#define LAST DIFFERENCE(START + VALUES, 0)

#define SLOTS 4
#define WORD(n, word) (((n) & (SLOTS - 1)) * 2 + (word))
#define NOTHING 255

#ifdef MUTANT_ACCEPTS_THE_FOURTH
#define OVERTAKEN SLOTS
#else
#define OVERTAKEN (SLOTS - 1)
#endif

// Memory.
byte number = START;
byte words[2 * SLOTS] = NOTHING;
bool asked;  // the request: a reader asks for whatever is newer
bool bell;
byte unanswered;  // only for the check that rings never outnumber requests

// The writer's stores on their way: of the words of value `writes`, and of the number.
bool word_pending[2];
byte writes;
bool number_pending;
byte next_number;

#define WORDS_ARRIVED (!word_pending[0] && !word_pending[1])

proctype drain() {
end:
    do
    :: atomic { word_pending[0] -> words[WORD(writes, 0)] = writes; word_pending[0] = false }
    :: atomic { word_pending[1] -> words[WORD(writes, 1)] = writes; word_pending[1] = false }
    :: atomic { number_pending -> number = next_number; number_pending = false; next_number = 0 }
    od
}

proctype writer() {
    byte n = START;
    bool rings;
    do
    :: n == LAST -> break
    :: n != LAST ->
#ifndef MUTANT_NO_WRITER_FENCE
       // W1: the number of the value before comes first.
       !number_pending;
#endif
       // W2. (Only a mutant has words of the value before on their way still.)
       atomic {
           WORDS_ARRIVED ->
           n = DIFFERENCE(n + 1, 0);
           writes = n;
           word_pending[0] = true;
           word_pending[1] = true
       }
       // W3: not before the words.
       atomic {
#ifndef MUTANT_NUMBER_BEFORE_WORDS
           WORDS_ARRIVED ->
#endif
           next_number = n;
           number_pending = true
       }
#ifdef SLEEPS
#ifndef MUTANT_NO_PUBLISHER_FENCE
       // P2.
       WORDS_ARRIVED && !number_pending;
#endif
       // P3 and P4.
       if
       :: asked ->
#ifndef MUTANT_RING_WITHOUT_CLAIM
          atomic { rings = asked; asked = false }
#else
          rings = true
#endif
          if
          :: rings -> atomic { assert(unanswered > 0); unanswered--; bell = true }
          :: !rings
          fi;
          rings = false
       :: !asked
       fi
#endif
    od
}

proctype reader() {
    byte read = START;
    byte n, word0, word1, after;
    do
    :: read == LAST -> break
    :: read != LAST ->
#ifdef MUTANT_WORDS_BEFORE_NUMBER
       // R1 does not acquire: the words of the next value are loaded first.
       n = DIFFERENCE(read + 1, 0);
       word0 = words[WORD(n, 0)];
       word1 = words[WORD(n, 1)];
       if
       :: number == n
       :: number != n -> n = number
       fi;
#else
       n = number;  // R1
#endif
       if
       :: n == read ->
#ifdef SLEEPS
          atomic { asked = true; unanswered++ }  // S1 and S2
#ifndef MUTANT_NO_SECOND_CHECK
          if
          :: number != read -> asked = false  // S3
          :: number == read ->
#else
          if
          :: true ->
#endif
             atomic { bell -> bell = false }
          fi
#else
          number != read  // it looks again when there is something
#endif
       :: n != read ->
#ifdef MUTANT_NO_READER_FENCE
          // R4 before the second load of R2.
          word0 = words[WORD(n, 0)];
          after = number;
          word1 = words[WORD(n, 1)];
#else
#ifndef MUTANT_WORDS_BEFORE_NUMBER
          // R2, the words in any order.
          if
          :: word0 = words[WORD(n, 0)]; word1 = words[WORD(n, 1)]
          :: word1 = words[WORD(n, 1)]; word0 = words[WORD(n, 0)]
          fi;
#endif
          after = number;  // R3 and R4
#endif
#ifdef MUTANT_NO_SECOND_LOOK
          after = n;
#endif
          if
          :: DIFFERENCE(after, n) < OVERTAKEN ->
             // Whole, and the newest that there was.
             assert(word0 == n && word1 == n);
             assert(DIFFERENCE(n, read) <= VALUES);
             read = n
          :: DIFFERENCE(after, n) >= OVERTAKEN
          fi;
          atomic { n = 0; word0 = 0; word1 = 0; after = 0 }
       fi
    od
}

init {
    atomic {
        run drain();
        run writer();
        run reader()
    }
}
