// The ocr_2 program: it takes reports that enough oracles signed, and hands their answers to the store program.
//
// Left out are what a feed does not need to run: rounds on request, transfers of ownership and of payees, access
// controllers, and withdrawals. The owner alone sets billing and accepts proposals. initialize wants a vault that exists.
#include "svm.h"

// Instructions: the first eight bytes of the SHA-256 of "global:" and the name, as a little-endian number. transmit has
// none: whatever is not another instruction is one.
#define INITIALIZE 0xed9b980d1f6dafafULL
#define SET_BILLING 0x5f5878e6a6d5833aULL
#define CREATE_PROPOSAL 0x16c6a0d8ae447484ULL
#define WRITE_OFFCHAIN_CONFIG 0xa844bc978aad40abULL
#define PROPOSE_CONFIG 0xa09981eca0eef7a3ULL
#define PROPOSE_PAYEES 0xe4b6079ddc2de44cULL
#define FINALIZE_PROPOSAL 0xa4bbad6da7334417ULL
#define ACCEPT_PROPOSAL 0xeea80c1bb282be21ULL

// Accounts and events: of "account:" and "event:" and the name.
#define STATE 0xb1b64b685e6b92d8ULL
#define PROPOSAL 0x21358874bbbd5e1aULL
#define EVENT_NEW_TRANSMISSION 0xa84f6b1e4dcb3682ULL
#define EVENT_SET_CONFIG 0x5f17f0338f93fb35ULL
#define EVENT_SET_BILLING 0x7ea95f818e51a96aULL

#define MAX_ORACLES 19
#define STATE_VERSION 1

#define UNAUTHORIZED FAIL(6000, "Unauthorized", "Unauthorized")
#define INVALID_INPUT FAIL(6001, "InvalidInput", "Invalid input")
#define TOO_MANY_ORACLES FAIL(6002, "TooManyOracles", "Too many oracles")
#define STALE_REPORT FAIL(6003, "StaleReport", "Stale report")
#define DIGEST_MISMATCH FAIL(6004, "DigestMismatch", "Digest mismatch")
#define WRONG_NUMBER_OF_SIGNATURES FAIL(6005, "WrongNumberOfSignatures", "Wrong number of signatures")
#define OVERFLOW FAIL(6006, "Overflow", "Overflow")
#define MEDIAN_OUT_OF_RANGE FAIL(6007, "MedianOutOfRange", "Median out of range")
#define DUPLICATE_SIGNER FAIL(6008, "DuplicateSigner", "Duplicate signer")
#define DUPLICATE_TRANSMITTER FAIL(6009, "DuplicateTransmitter", "Duplicate transmitter")
#define PAYEE_ORACLE_MISMATCH FAIL(6011, "PayeeOracleMismatch", "Payee and Oracle length mismatch")
#define INVALID_TOKEN_ACCOUNT FAIL(6012, "InvalidTokenAccount", "Invalid Token Account")
#define UNAUTHORIZED_SIGNER FAIL(6013, "UnauthorizedSigner", "Oracle signer key not found")
#define UNAUTHORIZED_TRANSMITTER FAIL(6014, "UnauthorizedTransmitter", "Oracle transmitter key not found")

typedef struct { u64 version; u8 bytes[4096]; u64 length; } Offchain;

typedef struct {
  Key transmitter;
  u8 signer[20];
  Key payee, proposed_payee;
  u32 from_round;
  u64 payment_gjuels;
} Oracle;
_Static_assert(sizeof(Oracle) == 128, "an oracle has 128 bytes");

typedef struct {
  u64 discriminator;
  u8 version, vault_nonce, padding0[6];
  Key feed;
  Key owner, proposed_owner, token_mint, token_vault, requester_access, billing_access;
  I128 min_answer, max_answer;
  u8 f, round, padding1[2];
  u32 epoch, round_id;
  Key latest_transmitter;
  u32 config_count;
  u8 digest[32];
  u64 config_slot;
  u32 observation_gjuels, transmission_gjuels;
  Offchain offchain;
  Oracle oracles[MAX_ORACLES];
  u64 oracle_count;
} State;
_Static_assert(__builtin_offsetof(State, min_answer) == 240 && __builtin_offsetof(State, epoch) == 276 &&
  __builtin_offsetof(State, digest) == 320 && __builtin_offsetof(State, offchain) == 368 &&
  __builtin_offsetof(State, oracles) == 4480 && sizeof(State) == 6920, "the state has the layout of the deployed program");

typedef struct { Key transmitter; u8 signer[20], padding[4]; Key payee; } ProposedOracle;

typedef struct {
  u64 discriminator;
  u8 version;
  Key owner;
  u8 finalized, f, padding[5];
  Key token_mint;
  ProposedOracle oracles[MAX_ORACLES];
  u64 oracle_count;
  Offchain offchain;
} Proposal;
_Static_assert(__builtin_offsetof(Proposal, token_mint) == 48 && __builtin_offsetof(Proposal, offchain) == 1760 &&
  sizeof(Proposal) == 5872, "a proposal has the layout of the deployed program");

static const Key store_id = STORE_ID;
static const Key token_program = {{
  0x06, 0xdd, 0xf6, 0xe1, 0xd7, 0x65, 0xa1, 0x93, 0xd9, 0xcb, 0xe1, 0x46, 0xce, 0xeb, 0x79, 0xac,
  0x1c, 0xb4, 0x85, 0xed, 0x5f, 0x5b, 0x37, 0x91, 0x3a, 0x8c, 0xf5, 0x85, 0x7e, 0xff, 0x00, 0xa9 }};
static const Key compute_budget = {{
  0x03, 0x06, 0x46, 0x6f, 0xe5, 0x21, 0x17, 0x32, 0xff, 0xec, 0xad, 0xba, 0x72, 0xc3, 0x9b, 0xe7,
  0xbc, 0x8c, 0xe5, 0xbb, 0xc5, 0xf7, 0x12, 0x6b, 0x2c, 0x43, 0x9b, 0x3a, 0x40, 0x00, 0x00, 0x00 }};
static const Key instructions_sysvar = {{
  0x06, 0xa7, 0xd5, 0x17, 0x18, 0x7b, 0xd1, 0x66, 0x35, 0xda, 0xd4, 0x04, 0x55, 0xfd, 0xc2, 0xc0,
  0xc1, 0x24, 0xc6, 0x8f, 0x21, 0x56, 0x75, 0xa5, 0xdb, 0xba, 0xcb, 0x5f, 0x08, 0x00, 0x00, 0x00 }};
static const u8 vault_seed[] = "vault", store_seed[] = "store";

// Token accounts: mint 32, owner 32, amount u64, and more, 165 bytes in all.
#define TOKEN_ACCOUNT_LENGTH 165

INLINE int is_token_account(const Account *a) {
  return same_key(a->owner, &token_program) && a->length == TOKEN_ACCOUNT_LENGTH && a->data[108] != 0;
}

INLINE void emit(const u8 *event, u64 length) {
  Slice slice = {event, length};
  sol_log_data(&slice, 1);
}

// Checks that an account is the address derived from a seed, the state and a bump.
static NOINLINE u64 check_derived(const Account *a, const u8 *seed, const Account *state, u8 bump, const Key *program) {
  Slice seeds[3] = {{seed, 5}, {state->key->bytes, 32}, {&bump, 1}};
  Key derived;
  if (sol_create_program_address(seeds, 3, program, &derived) != 0 || !same_key(&derived, a->key)) {
    FAIL(2006, "ConstraintSeeds", "A seeds constraint was violated");
  }
  return 0;
}

static NOINLINE u64 initialize(Input *in) {
  if (in->count < 8) return not_enough_keys();
  if (in->length < 8 + 32) return bad_instruction();
  Account *a = in->accounts; // state, feed, owner, mint, vault, vault authority, requester and billing access
  TRY(check_new(&a[0], in->program, sizeof(State)));
  TRY(check_owned(&a[1], &store_id, TRANSMISSIONS, FEED_HEADER));
  TRY(check_signer(&a[2]));
  TRY(check_writable(&a[0]));
  LOG("Instruction: Initialize");
  if (!is_token_account(&a[4]) || !same_key((Key *)a[4].data, a[3].key) || !same_key((Key *)(a[4].data + 32), a[5].key)) {
    INVALID_TOKEN_ACCOUNT;
  }
  State *state = (State *)a[0].data;
  Slice seeds[2] = {{vault_seed, 5}, {a[0].key->bytes, 32}};
  Key authority;
  if (sol_try_find_program_address(seeds, 2, in->program, &authority, &state->vault_nonce) != 0) INVALID_INPUT;
  TRY(check_address(&a[5], &authority));
  state->discriminator = STATE;
  state->version = STATE_VERSION;
  copy(&state->feed, a[1].key, 32);
  copy(&state->owner, a[2].key, 32);
  copy(&state->token_mint, a[3].key, 32);
  copy(&state->token_vault, a[4].key, 32);
  copy(&state->requester_access, a[6].key, 32);
  copy(&state->billing_access, a[7].key, 32);
  copy(&state->min_answer, in->data + 8, 16);
  copy(&state->max_answer, in->data + 24, 16);
  return 0;
}

static NOINLINE u64 set_billing(Input *in) {
  if (in->count < 2) return not_enough_keys();
  if (in->length < 8 + 8) return bad_instruction();
  TRY(check_owned(&in->accounts[0], in->program, STATE, sizeof(State)));
  TRY(check_signer(&in->accounts[1]));
  TRY(check_writable(&in->accounts[0]));
  State *state = (State *)in->accounts[0].data;
  if (!same_key(in->accounts[1].key, &state->owner)) UNAUTHORIZED;
  state->observation_gjuels = le32(in->data + 8);
  state->transmission_gjuels = le32(in->data + 12);
  u8 event[16];
  put_le64(event, EVENT_SET_BILLING);
  copy(event + 8, in->data + 8, 8);
  emit(event, sizeof event);
  return 0;
}

// ---- Proposals of a configuration ----

static NOINLINE u64 create_proposal(Input *in) {
  if (in->count < 2) return not_enough_keys();
  if (in->length < 8 + 8) return bad_instruction();
  TRY(check_new(&in->accounts[0], in->program, sizeof(Proposal)));
  TRY(check_signer(&in->accounts[1]));
  TRY(check_writable(&in->accounts[0]));
  LOG("Instruction: CreateProposal");
  u64 version = le64(in->data + 8);
  if (version == 0) INVALID_INPUT;
  Proposal *proposal = (Proposal *)in->accounts[0].data;
  proposal->discriminator = PROPOSAL;
  proposal->version = STATE_VERSION;
  copy(&proposal->owner, in->accounts[1].key, 32);
  proposal->offchain.version = version;
  return 0;
}

// The checks of what a proposal's owner does to it until it is final.
INLINE u64 check_proposal(Input *in) {
  if (in->count < 2) return not_enough_keys();
  TRY(check_owned(&in->accounts[0], in->program, PROPOSAL, sizeof(Proposal)));
  TRY(check_signer(&in->accounts[1]));
  TRY(check_writable(&in->accounts[0]));
  Proposal *proposal = (Proposal *)in->accounts[0].data;
  if (!same_key(in->accounts[1].key, &proposal->owner)) UNAUTHORIZED;
  return 0;
}

static NOINLINE u64 write_offchain_config(Input *in) {
  if (in->length < 12 || in->length - 12 < le32(in->data + 8)) return bad_instruction();
  TRY(check_proposal(in));
  LOG("Instruction: WriteOffchainConfig");
  Proposal *proposal = (Proposal *)in->accounts[0].data;
  u64 length = le32(in->data + 8);
  if (proposal->finalized || length > sizeof proposal->offchain.bytes - proposal->offchain.length) INVALID_INPUT;
  copy(proposal->offchain.bytes + proposal->offchain.length, in->data + 12, length);
  proposal->offchain.length += length;
  return 0;
}

static NOINLINE u64 propose_config(Input *in) {
  const u64 oracle = 20 + 32;
  if (in->length < 12) return bad_instruction();
  u64 n = le32(in->data + 8);
  if (in->length < 12 + n * oracle + 1) return bad_instruction();
  TRY(check_proposal(in));
  LOG("Instruction: ProposeConfig");
  const u8 *given = in->data + 12;
  u8 f = given[n * oracle];
  if (f == 0) INVALID_INPUT;
  if (n > MAX_ORACLES) TOO_MANY_ORACLES;
  if (3 * (u64)f >= n) INVALID_INPUT;
  Proposal *proposal = (Proposal *)in->accounts[0].data;
  if (proposal->finalized || proposal->offchain.version == 0) INVALID_INPUT;
  sol_memset_(proposal->oracles, 0, sizeof proposal->oracles);
  // In the order of their signers, so that transmit can search for one.
  for (u64 i = 0; i < n; i++, given += oracle) {
    u64 at = i;
    while (at > 0 && compare(proposal->oracles[at - 1].signer, given, 20) > 0) {
      copy(&proposal->oracles[at], &proposal->oracles[at - 1], sizeof(ProposedOracle));
      at--;
    }
    copy(proposal->oracles[at].signer, given, 20);
    copy(&proposal->oracles[at].transmitter, given + 20, 32);
    sol_memset_(&proposal->oracles[at].payee, 0, 32);
  }
  proposal->oracle_count = n;
  for (u64 i = 1; i < n; i++) {
    if (compare(proposal->oracles[i - 1].signer, proposal->oracles[i].signer, 20) == 0) DUPLICATE_SIGNER;
  }
  for (u64 i = 1; i < n; i++) {
    for (u64 j = 0; j < i; j++) {
      if (same_key(&proposal->oracles[i].transmitter, &proposal->oracles[j].transmitter)) DUPLICATE_TRANSMITTER;
    }
  }
  proposal->f = f;
  return 0;
}

static NOINLINE u64 propose_payees(Input *in) {
  if (in->length < 8 + 32) return bad_instruction();
  TRY(check_proposal(in));
  LOG("Instruction: ProposePayees");
  Proposal *proposal = (Proposal *)in->accounts[0].data;
  const Key *mint = (const Key *)(in->data + 8);
  if (proposal->finalized) INVALID_INPUT;
  Account *payees = in->accounts + 2;
  if (in->count - 2 != proposal->oracle_count) PAYEE_ORACLE_MISMATCH;
  for (u64 i = 0; i < proposal->oracle_count; i++) {
    if (!is_token_account(&payees[i]) || !same_key((Key *)payees[i].data, mint)) INVALID_TOKEN_ACCOUNT;
  }
  for (u64 i = 0; i < proposal->oracle_count; i++) copy(&proposal->oracles[i].payee, payees[i].key, 32);
  copy(&proposal->token_mint, mint, 32);
  return 0;
}

static NOINLINE u64 finalize_proposal(Input *in) {
  TRY(check_proposal(in));
  LOG("Instruction: FinalizeProposal");
  Proposal *proposal = (Proposal *)in->accounts[0].data;
  if (proposal->finalized || proposal->offchain.version == 0 || proposal->offchain.length == 0) INVALID_INPUT;
  if (proposal->oracle_count == 0) INVALID_INPUT;
  Key none;
  sol_memset_(&none, 0, sizeof none);
  for (u64 i = 0; i < proposal->oracle_count; i++) {
    if (same_key(&proposal->oracles[i].payee, &none)) INVALID_INPUT;
  }
  proposal->finalized = 1;
  return 0;
}

static NOINLINE void proposal_digest(const Proposal *proposal, u8 *digest) {
  Slice parts[1 + 3 * MAX_ORACLES + 5];
  u8 n = (u8)proposal->oracle_count, version[8], length[4];
  u64 count = 0;
  put_be64(version, proposal->offchain.version);
  put_be32(length, (u32)proposal->offchain.length);
  parts[count++] = (Slice){&n, 1};
  for (u64 i = 0; i < n; i++) {
    parts[count++] = (Slice){proposal->oracles[i].signer, 20};
    parts[count++] = (Slice){proposal->oracles[i].transmitter.bytes, 32};
    parts[count++] = (Slice){proposal->oracles[i].payee.bytes, 32};
  }
  parts[count++] = (Slice){&proposal->f, 1};
  parts[count++] = (Slice){proposal->token_mint.bytes, 32};
  parts[count++] = (Slice){version, 8};
  parts[count++] = (Slice){length, 4};
  parts[count++] = (Slice){proposal->offchain.bytes, proposal->offchain.length};
  sol_sha256(parts, count, digest);
}

// An answer as the oracles' configuration has it: 192 bits, big-endian.
INLINE void put_answer(u8 *p, I128 answer) {
  sol_memset_(p, answer.high < 0 ? 0xff : 0, 8);
  put_be64(p + 8, (u64)answer.high);
  put_be64(p + 16, answer.low);
}

static NOINLINE void config_digest(State *state, const Key *address, const Key *program) {
  Slice parts[4 + 2 * MAX_ORACLES + 6];
  u8 config_count[4], n = (u8)state->oracle_count, onchain_length[4], onchain[49], version[8], length[4];
  u64 count = 0;
  put_be32(config_count, state->config_count);
  put_be32(onchain_length, sizeof onchain);
  onchain[0] = 1;
  put_answer(onchain + 1, state->min_answer);
  put_answer(onchain + 25, state->max_answer);
  put_be64(version, state->offchain.version);
  put_be32(length, (u32)state->offchain.length);
  parts[count++] = (Slice){program->bytes, 32};
  parts[count++] = (Slice){address->bytes, 32};
  parts[count++] = (Slice){config_count, 4};
  parts[count++] = (Slice){&n, 1};
  for (u64 i = 0; i < n; i++) parts[count++] = (Slice){state->oracles[i].signer, 20};
  for (u64 i = 0; i < n; i++) parts[count++] = (Slice){state->oracles[i].transmitter.bytes, 32};
  parts[count++] = (Slice){&state->f, 1};
  parts[count++] = (Slice){onchain_length, 4};
  parts[count++] = (Slice){onchain, sizeof onchain};
  parts[count++] = (Slice){version, 8};
  parts[count++] = (Slice){length, 4};
  parts[count++] = (Slice){state->offchain.bytes, state->offchain.length};
  sol_sha256(parts, count, state->digest);
  state->digest[0] = 0;
  state->digest[1] = 3;
}

// Pays an oracle what it is due, to the receiver when its own account is of no use.
static NOINLINE u64 pay(Input *in, Oracle *oracle, const Account *payee) {
  State *state = (State *)in->accounts[0].data;
  const Account *receiver = &in->accounts[4], *vault = &in->accounts[5], *authority = &in->accounts[6];
  if (!same_key(&oracle->payee, payee->key)) INVALID_INPUT;
  if (state->round_id < oracle->from_round) OVERFLOW;
  u64 earned = (u64)state->observation_gjuels * (state->round_id - oracle->from_round);
  u64 amount = earned + oracle->payment_gjuels;
  if (amount < earned) OVERFLOW;
  oracle->payment_gjuels = 0;
  oracle->from_round = state->round_id;
  if (amount == 0) return 0;

  const Account *to = is_token_account(payee) && same_key((Key *)payee->data, &state->token_mint) ? payee : receiver;
  u8 data[9] = {3}; // Transfer
  put_le64(data + 1, amount);
  Meta metas[3] = {{vault->key, 1, 0}, {to->key, 1, 0}, {authority->key, 0, 1}};
  Instruction transfer = {&token_program, metas, 3, data, sizeof data};
  Slice seeds[3] = {{vault_seed, 5}, {in->accounts[0].key->bytes, 32}, {&state->vault_nonce, 1}};
  Seeds signer = {seeds, 3};
  return sol_invoke_signed_c(&transfer, in->accounts, (int)in->count, &signer, 1);
}

static NOINLINE u64 accept_proposal(Input *in) {
  if (in->count < 8) return not_enough_keys();
  if (in->length < 12 || in->length - 12 < le32(in->data + 8)) return bad_instruction();
  Account *a = in->accounts; // state, proposal, receiver, authority, token receiver, vault, vault authority, token program
  TRY(check_owned(&a[0], in->program, STATE, sizeof(State)));
  TRY(check_owned(&a[1], in->program, PROPOSAL, sizeof(Proposal)));
  TRY(check_signer(&a[3]));
  TRY(check_writable(&a[0]));
  TRY(check_writable(&a[1]));
  TRY(check_writable(&a[2]));
  State *state = (State *)a[0].data;
  Proposal *proposal = (Proposal *)a[1].data;
  if (!same_key(a[3].key, &state->owner)) UNAUTHORIZED;
  TRY(check_address(&a[5], &state->token_vault));
  TRY(check_derived(&a[6], vault_seed, &a[0], state->vault_nonce, in->program));
  TRY(check_address(&a[7], &token_program));
  LOG("Instruction: AcceptProposal");

  if (le32(in->data + 8) != 32) INVALID_INPUT;
  if (in->count - 8 != state->oracle_count) INVALID_INPUT;
  for (u64 i = 0; i < state->oracle_count; i++) TRY(pay(in, &state->oracles[i], &a[8 + i]));

  if (state->version != proposal->version || !proposal->finalized) INVALID_INPUT;
  u8 digest[32];
  proposal_digest(proposal, digest);
  if (compare(digest, in->data + 12, 32) != 0) DIGEST_MISMATCH;
  if (!same_key(&proposal->token_mint, &state->token_mint)) INVALID_TOKEN_ACCOUNT;

  copy(&state->offchain, &proposal->offchain, sizeof(Offchain));
  state->f = proposal->f;
  sol_memset_(state->oracles, 0, sizeof state->oracles);
  state->oracle_count = proposal->oracle_count;
  for (u64 i = 0; i < proposal->oracle_count; i++) {
    copy(&state->oracles[i].transmitter, &proposal->oracles[i].transmitter, 32);
    copy(state->oracles[i].signer, proposal->oracles[i].signer, 20);
    copy(&state->oracles[i].payee, &proposal->oracles[i].payee, 32);
    state->oracles[i].from_round = state->round_id;
  }
  Clock clock;
  sol_get_clock_sysvar(&clock);
  state->config_slot = clock.slot;
  state->config_count++;
  config_digest(state, a[0].key, in->program);

  u8 event[8 + 32 + 1 + 4 + 20 * MAX_ORACLES];
  put_le64(event, EVENT_SET_CONFIG);
  copy(event + 8, state->digest, 32);
  event[40] = state->f;
  put_le32(event + 41, (u32)state->oracle_count);
  for (u64 i = 0; i < state->oracle_count; i++) copy(event + 45 + 20 * i, state->oracles[i].signer, 20);
  emit(event, 45 + 20 * state->oracle_count);

  // The proposal is closed: an account without lamports is gone after the transaction.
  *a[2].lamports += *a[1].lamports;
  *a[1].lamports = 0;
  sol_memset_(proposal, 0, sizeof *proposal);
  return 0;
}

// ---- Reports ----

enum { CONTEXT_LENGTH = 96, REPORT_LENGTH = 61, SIGNATURE_LENGTH = 65 };

// The price of a compute unit in micro-lamports that the instruction before this one sets; 0 when this one is the first.
static NOINLINE u64 unit_price(const Account *sysvar, u64 *price) {
  *price = 0;
  if (!same_key(sysvar->key, &instructions_sysvar)) return 0x700000000ULL; // UnsupportedSysvar
  const u8 *data = sysvar->data;
  u32 current = data[sysvar->length - 2] | (u32)data[sysvar->length - 1] << 8;
  if (current == 0) return 0;
  // A count and the offsets of the instructions, u16 each; an instruction is a count of accounts, 33 bytes of each of them,
  // the program, and the length of the data before the data.
  const u8 *offset = data + 2 * current, *p = data + (offset[0] | (u32)offset[1] << 8);
  p += 2 + 33 * (p[0] | (u32)p[1] << 8);
  if (!same_key((const Key *)p, &compute_budget)) INVALID_INPUT;
  p += 32;
  u32 length = p[0] | (u32)p[1] << 8;
  if (length == 0 || p[2] != 3) INVALID_INPUT;
  if (length != 9) INVALID_INPUT;
  *price = le64(p + 3);
  return 0;
}

// What a transmission cost, in 10^9 juels: 5000 lamports and the compute units of so many signatures at the price.
static NOINLINE u64 reimbursement(u64 juels_per_lamport, u64 price, u64 signatures) {
  u64 over, micro = multiply(25000 * signatures + 21000, price, &over);
  if (over != 0) micro = ~0ULL;
  u64 rounded = micro + 999999 < micro ? ~0ULL : micro + 999999;
  u64 high, low = multiply(5000 + rounded / 1000000, juels_per_lamport, &high);
  // high:low / 10^9, bit by bit; beyond 64 bits it is the most that there is.
  u64 quotient = 0, rest = high % 1000000000;
  if (high / 1000000000 != 0) return ~0ULL;
  for (int i = 63; i >= 0; i--) {
    rest = rest << 1 | (low >> i & 1);
    quotient <<= 1;
    if (rest >= 1000000000) {
      rest -= 1000000000;
      quotient |= 1;
    }
  }
  return quotient;
}

// The place of a signer among the oracles, or their number.
INLINE u64 find_signer(const State *state, const u8 *signer) {
  u64 low = 0, high = state->oracle_count;
  while (low < high) {
    u64 middle = (low + high) / 2;
    int order = compare(state->oracles[middle].signer, signer, 20);
    if (order == 0) return middle;
    if (order < 0) low = middle + 1; else high = middle;
  }
  return state->oracle_count;
}

static NOINLINE u64 check_signatures(const State *state, const u8 *context, const u8 *signatures, u64 count) {
  const u8 *report = context + CONTEXT_LENGTH;
  u8 length = REPORT_LENGTH, hash[32];
  Slice parts[3] = {{&length, 1}, {report, REPORT_LENGTH}, {context, CONTEXT_LENGTH}};
  sol_sha256(parts, 3, hash);
  u32 seen = 0;
  u64 unique = 0;
  for (u64 i = 0; i < count; i++, signatures += SIGNATURE_LENGTH) {
    u8 key[64], address[32];
    u64 failed = sol_secp256k1_recover(hash, signatures[64], signatures, key);
    if (failed == 3) UNAUTHORIZED; // the signature is no such
    if (failed != 0) INVALID_INPUT;
    Slice point = {key, sizeof key};
    sol_keccak256(&point, 1, address);
    u64 oracle = find_signer(state, address + 12);
    if (oracle == state->oracle_count) UNAUTHORIZED_SIGNER;
    if (!(seen >> oracle & 1)) unique++;
    seen |= 1U << oracle;
  }
  if (unique != count) DUPLICATE_SIGNER;
  return 0;
}

static NOINLINE u64 transmit(Input *in) {
  if (in->count < 5) return not_enough_keys();
  if (in->length < 1) return bad_instruction();
  Account *a = in->accounts; // state, transmitter, feed, store program, store authority
  TRY(check_owned(&a[0], in->program, STATE, sizeof(State)));
  TRY(check_signer(&a[1]));
  TRY(check_owned(&a[2], &store_id, TRANSMISSIONS, FEED_HEADER));
  State *state = (State *)a[0].data;
  TRY(check_writable(&a[0]));
  TRY(check_writable(&a[2]));
  TRY(check_address(&a[2], &state->feed));
  TRY(check_address(&a[3], &store_id));
  TRY(check_derived(&a[4], store_seed, &a[0], in->data[0], in->program));

  const u8 *context = in->data + 1, *report = context + CONTEXT_LENGTH, *signatures = report + REPORT_LENGTH;
  if (in->length - 1 <= CONTEXT_LENGTH + REPORT_LENGTH) INVALID_INPUT;
  u64 rest = in->length - 1 - CONTEXT_LENGTH - REPORT_LENGTH;
  u32 epoch = be32(context + 32 + 27);
  u8 round = context[32 + 31];
  if (epoch < state->epoch || (epoch == state->epoch && round <= state->round)) STALE_REPORT;
  u64 transmitter = 0;
  while (transmitter < state->oracle_count && !same_key(&state->oracles[transmitter].transmitter, a[1].key)) transmitter++;
  if (transmitter == state->oracle_count) UNAUTHORIZED_TRANSMITTER;
  if (compare(state->digest, context, 32) != 0) DIGEST_MISMATCH;
  if (rest % SIGNATURE_LENGTH != 0) INVALID_INPUT;
  u64 count = rest / SIGNATURE_LENGTH;
  if (count != (u64)state->f + 1) WRONG_NUMBER_OF_SIGNATURES;
  TRY(check_signatures(state, context, signatures, count));

  u8 observers = report[4];
  I128 median = {be64(report + 45), (i64)be64(report + 37)};
  u64 juels_per_lamport = be64(report + 53);
  if (observers <= state->f) INVALID_INPUT;
  if (less(median, state->min_answer) || less(state->max_answer, median)) MEDIAN_OUT_OF_RANGE;

  state->epoch = epoch;
  state->round = round;
  if (state->round_id == ~0U) OVERFLOW;
  state->round_id++;
  copy(&state->latest_transmitter, a[1].key, 32);
  u64 price = 0;
  if (in->count > 5) TRY(unit_price(&a[5], &price));
  u64 gjuels = reimbursement(juels_per_lamport, price, count), *payment = &state->oracles[transmitter].payment_gjuels;
  u64 amount = gjuels + state->transmission_gjuels;
  if (amount < gjuels) amount = ~0ULL;
  *payment = *payment + amount < amount ? ~0ULL : *payment + amount;

  u8 event[8 + 4 + 32 + 16 + 1 + 4 + 1 + 19 + 8 + 8];
  put_le64(event, EVENT_NEW_TRANSMISSION);
  put_le32(event + 8, state->round_id);
  copy(event + 12, state->digest, 32);
  put_le64(event + 44, median.low);
  put_le64(event + 52, (u64)median.high);
  event[60] = (u8)transmitter;
  put_le32(event + 61, be32(report));
  event[65] = observers;
  copy(event + 66, report + 5, 19);
  put_le64(event + 85, juels_per_lamport);
  put_le64(event + 93, gjuels);
  emit(event, sizeof event);

  u8 data[8 + 8 + 16];
  put_le64(data, SUBMIT);
  put_le64(data + 8, be32(report));
  put_le64(data + 16, median.low);
  put_le64(data + 24, (u64)median.high);
  Meta metas[2] = {{a[2].key, 1, 0}, {a[4].key, 0, 1}};
  Instruction submit = {&store_id, metas, 2, data, sizeof data};
  Slice seeds[3] = {{store_seed, 5}, {a[0].key->bytes, 32}, {in->data, 1}};
  Seeds signer = {seeds, 3};
  return sol_invoke_signed_c(&submit, a + 2, 3, &signer, 1);
}

u64 entrypoint(u8 *input) {
  Account accounts[MAX_ACCOUNTS];
  Input in;
  in.accounts = accounts;
  read_input(input, &in);
  switch (in.length < 8 ? 0 : le64(in.data)) {
  case INITIALIZE: return initialize(&in);
  case SET_BILLING: return set_billing(&in);
  case CREATE_PROPOSAL: return create_proposal(&in);
  case WRITE_OFFCHAIN_CONFIG: return write_offchain_config(&in);
  case PROPOSE_CONFIG: return propose_config(&in);
  case PROPOSE_PAYEES: return propose_payees(&in);
  case FINALIZE_PROPOSAL: return finalize_proposal(&in);
  case ACCEPT_PROPOSAL: return accept_proposal(&in);
  }
  return transmit(&in);
}
