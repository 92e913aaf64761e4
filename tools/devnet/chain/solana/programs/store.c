// The store program: feeds, each with two rings of rounds, the recent ones and every so manieth of the past.
//
// Feeds belong to the key that made them. Stores, which group feeds under one owner, are left out, and with them the
// transfer of feeds between owners.
#include "svm.h"

// Instructions: the first eight bytes of the SHA-256 of "global:" and the name, as a little-endian number.
#define CREATE_FEED 0xb443c10d5e5f56adULL
#define SET_WRITER 0x6d208e567ab124aeULL
#define SET_VALIDATOR_CONFIG 0xfa502911c1e0f857ULL
#define LOWER_FLAG 0x6f9d7c24a3f04ffdULL
#define QUERY 0xa9a4882e9f82fb27ULL

// Offsets in a feed's account. The header is packed.
enum {
  VERSION = 8, FLAGGED = 9, OWNER = 10, WRITER = 74, DESCRIPTION = 106, DECIMALS = 138, THRESHOLD = 139, LATEST = 143,
  GRANULARITY = 147, LIVE_LENGTH = 148, LIVE_CURSOR = 152, HISTORICAL_CURSOR = 156,
};

#define FEED_VERSION 2
#define DESCRIPTION_LENGTH 32

// A round in a ring.
typedef struct { u64 slot; u32 timestamp, padding; I128 answer; u8 reserved[16]; } Record;
_Static_assert(sizeof(Record) == 48, "a round has 48 bytes");

#define UNAUTHORIZED FAIL(6000, "Unauthorized", "Unauthorized")
#define INVALID_INPUT FAIL(6001, "InvalidInput", "Invalid input")
#define NOT_FOUND FAIL(6002, "NotFound", "NotFound")
#define INSUFFICIENT_SIZE FAIL(6004, "InsufficientSize", "Insufficient or invalid feed account size, has to be `8 + HEADER_SIZE + n * size_of::<Transmission>()`")

INLINE Record *ring(const Account *feed) { return (Record *)(feed->data + FEED_HEADER); }
INLINE u32 capacity(const Account *feed) { return (u32)((feed->length - FEED_HEADER) / sizeof(Record)); }
INLINE u32 get(const Account *feed, int field) { return le32(feed->data + field); }
INLINE void set(const Account *feed, int field, u32 value) { put_le32(feed->data + field, value); }

// The newest round, or none.
INLINE Record *latest(const Account *feed) {
  if (get(feed, LATEST) == 0) return 0;
  u32 length = get(feed, LIVE_LENGTH);
  return &ring(feed)[(get(feed, LIVE_CURSOR) + length - 1) % length];
}

INLINE void insert(const Account *feed, const Record *record) {
  u32 live = get(feed, LIVE_LENGTH), historical = capacity(feed) - live;
  u32 id = get(feed, LATEST) + 1, cursor = get(feed, LIVE_CURSOR);
  set(feed, LATEST, id);
  copy(&ring(feed)[cursor], record, sizeof *record);
  set(feed, LIVE_CURSOR, (cursor + 1) % live);
  if (historical == 0 || id % feed->data[GRANULARITY] != 0) return;
  cursor = get(feed, HISTORICAL_CURSOR);
  copy(&ring(feed)[live + cursor], record, sizeof *record);
  set(feed, HISTORICAL_CURSOR, (cursor + 1) % historical);
}

// A round by its number: the round itself while it is among the recent ones, then the one of the past at or before it.
INLINE Record *fetch(const Account *feed, u32 id) {
  u32 last = get(feed, LATEST), live = get(feed, LIVE_LENGTH), historical = capacity(feed) - live;
  u32 granularity = feed->data[GRANULARITY];
  if (id > last) return 0;
  if (last - id < live) return &ring(feed)[(get(feed, LIVE_CURSOR) + live - 1 - (last - id)) % live];
  u32 end = last - last % granularity;
  if (historical == 0 || id > end) return 0;
  u32 rounded = id - id % granularity, age = (end - rounded) / granularity;
  if (rounded == 0 || age >= historical) return 0;
  return &ring(feed)[live + (get(feed, HISTORICAL_CURSOR) + historical - 1 - age) % historical];
}

// Whether an answer is further from the one before than the threshold allows, in units of a thousandth of a percent.
static NOINLINE int deviates(u32 threshold, I128 before, I128 answer) {
  if (before.low == 0 && before.high == 0) return 0;
  I128 large = less(before, answer) ? answer : before, small = less(before, answer) ? before : answer;
  u64 low = large.low - small.low, high = (u64)large.high - (u64)small.high - (large.low < small.low);
  // change * 100000; what does not fit deviates.
  u64 carry, over, n0 = multiply(low, 100000, &carry), n1 = multiply(high, 100000, &over);
  n1 += carry;
  if (over != 0 || n1 < carry) return 1;
  // change * 100000 / |before| <= threshold, without a division: change * 100000 < (threshold + 1) * |before|.
  u64 size_low = before.low, size_high = (u64)before.high;
  if (before.high < 0) {
    size_low = ~before.low + 1;
    size_high = ~(u64)before.high + (size_low == 0);
  }
  u64 factor = (u64)threshold + 1, m0 = multiply(size_low, factor, &carry), m1 = multiply(size_high, factor, &over);
  m1 += carry;
  if (over != 0 || m1 < carry) return 0;
  return n1 != m1 ? n1 > m1 : n0 >= m0;
}

static NOINLINE u64 submit(Input *in) {
  if (in->count < 2) return not_enough_keys();
  if (in->length < 8 + 8 + 16) return bad_instruction();
  Account *feed = &in->accounts[0], *authority = &in->accounts[1];
  TRY(check_owned(feed, in->program, TRANSMISSIONS, FEED_HEADER));
  TRY(check_signer(authority));
  TRY(check_writable(feed));
  if (!same_key(authority->key, (Key *)(feed->data + WRITER))) UNAUTHORIZED;
  LOG("Instruction: Submit");

  Clock clock;
  sol_get_clock_sysvar(&clock);
  Record record;
  sol_memset_(&record, 0, sizeof record);
  record.slot = clock.slot;
  record.timestamp = (u32)le64(in->data + 8);
  record.answer.low = le64(in->data + 16);
  record.answer.high = (i64)le64(in->data + 24);
  Record *before = latest(feed);
  int raise = before && deviates(get(feed, THRESHOLD), before->answer, record.answer);
  insert(feed, &record);
  if (raise) feed->data[FLAGGED] = 1;
  return 0;
}

static NOINLINE u64 create_feed(Input *in) {
  if (in->count < 2) return not_enough_keys();
  if (in->length < 12 || in->length < 12 + (u64)le32(in->data + 8) + 6) return bad_instruction();
  Account *feed = &in->accounts[0], *authority = &in->accounts[1];
  TRY(check_new(feed, in->program, 8));
  TRY(check_signer(authority));
  LOG("Instruction: CreateFeed");

  u32 described = le32(in->data + 8);
  const u8 *description = in->data + 12, *rest = description + described;
  u8 decimals = rest[0], granularity = rest[1];
  u32 live = le32(rest + 2);
  if (feed->length < FEED_HEADER || (feed->length - FEED_HEADER) % sizeof(Record) != 0) INSUFFICIENT_SIZE;
  if (live > capacity(feed) || live == 0 || granularity == 0) INVALID_INPUT;
  if (described > DESCRIPTION_LENGTH) INVALID_INPUT;
  put_le64(feed->data, TRANSMISSIONS);
  feed->data[VERSION] = FEED_VERSION;
  copy(feed->data + OWNER, authority->key, 32);
  copy(feed->data + DESCRIPTION, description, described);
  feed->data[DECIMALS] = decimals;
  feed->data[GRANULARITY] = granularity;
  set(feed, LIVE_LENGTH, live);
  return 0;
}

// The checks of what only a feed's owner may do.
INLINE u64 check_owner(Input *in) {
  if (in->count < 3) return not_enough_keys();
  Account *feed = &in->accounts[0], *owner = &in->accounts[1], *authority = &in->accounts[2];
  TRY(check_owned(feed, in->program, TRANSMISSIONS, FEED_HEADER));
  TRY(check_signer(authority));
  TRY(check_writable(feed));
  TRY(check_address(owner, (Key *)(feed->data + OWNER)));
  if (!same_key(authority->key, owner->key)) UNAUTHORIZED;
  return 0;
}

static NOINLINE u64 set_writer(Input *in) {
  if (in->length < 8 + 32) return bad_instruction();
  TRY(check_owner(in));
  copy(in->accounts[0].data + WRITER, in->data + 8, 32);
  return 0;
}

static NOINLINE u64 set_validator_config(Input *in) {
  if (in->length < 8 + 4) return bad_instruction();
  TRY(check_owner(in));
  set(&in->accounts[0], THRESHOLD, le32(in->data + 8));
  return 0;
}

static NOINLINE u64 lower_flag(Input *in) {
  TRY(check_owner(in));
  in->accounts[0].data[FLAGGED] = 0;
  return 0;
}

static NOINLINE u64 answer_round(u32 id, const Record *record) {
  if (!record) NOT_FOUND;
  u8 answer[4 + 8 + 4 + 16];
  put_le32(answer, id);
  put_le64(answer + 4, record->slot);
  put_le32(answer + 12, record->timestamp);
  copy(answer + 16, &record->answer, 16);
  sol_set_return_data(answer, sizeof answer);
  return 0;
}

static NOINLINE u64 query(Input *in) {
  if (in->count < 1) return not_enough_keys();
  if (in->length < 9) return bad_instruction();
  Account *feed = &in->accounts[0];
  TRY(check_owned(feed, in->program, TRANSMISSIONS, FEED_HEADER));
  switch (in->data[8]) {
  case 0: sol_set_return_data(feed->data + VERSION, 1); return 0;
  case 1: sol_set_return_data(feed->data + DECIMALS, 1); return 0;
  case 2: {
    u8 text[4 + DESCRIPTION_LENGTH];
    u32 length = 0;
    while (length < DESCRIPTION_LENGTH && feed->data[DESCRIPTION + length] != 0) length++;
    put_le32(text, length);
    copy(text + 4, feed->data + DESCRIPTION, length);
    sol_set_return_data(text, 4 + length);
    return 0;
  }
  case 3: {
    if (in->length < 13) return bad_instruction();
    u32 id = le32(in->data + 9);
    return answer_round(id, fetch(feed, id));
  }
  case 4: return answer_round(get(feed, LATEST), latest(feed));
  case 5: sol_set_return_data(feed->data + WRITER, 32); return 0;
  }
  return bad_instruction();
}

u64 entrypoint(u8 *input) {
  Account accounts[MAX_ACCOUNTS];
  Input in;
  in.accounts = accounts;
  read_input(input, &in);
  if (in.length < 8) return unknown_instruction();
  switch (le64(in.data)) {
  case SUBMIT: return submit(&in);
  case CREATE_FEED: return create_feed(&in);
  case SET_WRITER: return set_writer(&in);
  case SET_VALIDATOR_CONFIG: return set_validator_config(&in);
  case LOWER_FLAG: return lower_flag(&in);
  case QUERY: return query(&in);
  }
  return unknown_instruction();
}
