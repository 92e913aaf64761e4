// What a program of ours needs of Solana's virtual machine: its calls, the layout of a program's input, and the errors that
// the Anchor framework gives before a program's own checks begin. Programs of this folder keep the deployed programs'
// accounts, instructions, checks and errors; they are for chains of tests.
//
// There is no C library underneath. Code has no writable globals, no pointers in constants, no 128-bit division or
// multiplication, and no function with more than five parameters: the linker or the machine refuses each of them.
#ifndef SVM_H
#define SVM_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define NOINLINE __attribute__((noinline))
#define INLINE static inline __attribute__((always_inline))

typedef struct { u8 bytes[32]; } Key;

// A 128-bit integer in two's complement.
typedef struct { u64 low; i64 high; } I128;

// An account as the machine's calls take it too.
typedef struct {
  Key *key;
  u64 *lamports;
  u64 length;
  u8 *data;
  Key *owner;
  u64 rent_epoch;
  u8 is_signer, is_writable, executable;
} Account;

typedef struct { Key *key; u8 is_writable, is_signer; } Meta;
typedef struct { const Key *program; Meta *metas; u64 meta_count; const u8 *data; u64 length; } Instruction;
typedef struct { const u8 *bytes; u64 length; } Slice;
typedef struct { const Slice *seeds; u64 count; } Seeds;
typedef struct { u64 slot; i64 epoch_start; u64 epoch, schedule_epoch; i64 unix_time; } Clock;

extern void sol_log_(const char *, u64);
extern void sol_log_data(const Slice *, u64);
extern u64 sol_sha256(const Slice *, u64, u8 *);
extern u64 sol_keccak256(const Slice *, u64, u8 *);
extern u64 sol_secp256k1_recover(const u8 *, u64, const u8 *, u8 *);
extern u64 sol_get_clock_sysvar(Clock *);
extern u64 sol_set_return_data(const u8 *, u64);
extern u64 sol_create_program_address(const Slice *, u64, const Key *, Key *);
extern u64 sol_try_find_program_address(const Slice *, u64, const Key *, Key *, u8 *);
extern u64 sol_invoke_signed_c(const Instruction *, const Account *, int, const Seeds *, int);
extern void sol_memcpy_(void *, const void *, u64);
extern void sol_memset_(void *, u8, u64);
extern void sol_memcmp_(const void *, const void *, u64, int *);

#define LOG(text) do { static const char line[] = text; sol_log_(line, sizeof line - 1); } while (0)

// Fails with an error, as a program built with Anchor does.
#define FAIL(number, name, message) \
  do { \
    LOG("AnchorError occurred. Error Code: " name ". Error Number: " #number ". Error Message: " message "."); \
    return number; \
  } while (0)

#define TRY(call) do { u64 error_ = (call); if (error_) return error_; } while (0)

INLINE u64 bad_instruction(void) { FAIL(102, "InstructionDidNotDeserialize", "The program could not deserialize the given instruction"); }
INLINE u64 unknown_instruction(void) { FAIL(101, "InstructionFallbackNotFound", "Fallback functions are not supported"); }
INLINE u64 not_enough_keys(void) { FAIL(3005, "AccountNotEnoughKeys", "Not enough account keys given to the instruction"); }

INLINE void copy(void *to, const void *from, u64 n) { sol_memcpy_(to, from, n); }
INLINE int compare(const void *a, const void *b, u64 n) { int result; sol_memcmp_(a, b, n, &result); return result; }
INLINE int same_key(const Key *a, const Key *b) { return compare(a, b, 32) == 0; }

// Integers at any address, of the byte order in the name.
INLINE u32 le32(const u8 *p) { return (u32)p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24; }
INLINE u32 be32(const u8 *p) { return (u32)p[3] | (u32)p[2] << 8 | (u32)p[1] << 16 | (u32)p[0] << 24; }
INLINE u64 le64(const u8 *p) { return (u64)le32(p) | (u64)le32(p + 4) << 32; }
INLINE u64 be64(const u8 *p) { return (u64)be32(p) << 32 | be32(p + 4); }
INLINE void put_le32(u8 *p, u32 v) { for (int i = 0; i < 4; i++) p[i] = (u8)(v >> 8 * i); }
INLINE void put_be32(u8 *p, u32 v) { for (int i = 0; i < 4; i++) p[3 - i] = (u8)(v >> 8 * i); }
INLINE void put_le64(u8 *p, u64 v) { for (int i = 0; i < 8; i++) p[i] = (u8)(v >> 8 * i); }
INLINE void put_be64(u8 *p, u64 v) { for (int i = 0; i < 8; i++) p[7 - i] = (u8)(v >> 8 * i); }

INLINE int less(I128 a, I128 b) { return a.high != b.high ? a.high < b.high : a.low < b.low; }

// The product of two 64-bit integers, returned as its low half, with the high one in *high.
INLINE u64 multiply(u64 a, u64 b, u64 *high) {
  u64 a0 = (u32)a, a1 = a >> 32, b0 = (u32)b, b1 = b >> 32;
  u64 low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (u32)middle;
  *high = a1 * b1 + (middle >> 32) + (other >> 32);
  return other << 32 | (u32)low;
}

// What a program is called with.
typedef struct {
  Account *accounts;
  u64 count;
  const u8 *data;
  u64 length;
  const Key *program;
} Input;

#define MAX_ACCOUNTS 32
#define GROWTH 10240 /* bytes after each account's data into which it could grow */

// Reads the input into in, whose accounts have room for MAX_ACCOUNTS. Accounts beyond are left out.
INLINE void read_input(u8 *p, Input *in) {
  u64 count = *(u64 *)p;
  p += 8;
  in->count = 0;
  for (u64 i = 0; i < count; i++) {
    Account *a = &in->accounts[in->count];
    Account skipped;
    if (i >= MAX_ACCOUNTS) a = &skipped; else in->count++;
    if (p[0] != 0xff) { // the number of an account that came before
      if (p[0] < MAX_ACCOUNTS) *a = in->accounts[p[0]];
      p += 8;
      continue;
    }
    a->is_signer = p[1];
    a->is_writable = p[2];
    a->executable = p[3];
    a->key = (Key *)(p + 8);
    a->owner = (Key *)(p + 40);
    a->lamports = (u64 *)(p + 72);
    a->length = *(u64 *)(p + 80);
    a->data = p + 88;
    p = (u8 *)(((u64)a->data + a->length + GROWTH + 7) & ~7ULL);
    a->rent_epoch = *(u64 *)p;
    p += 8;
  }
  in->length = *(u64 *)p;
  in->data = p + 8;
  in->program = (Key *)(in->data + in->length);
}

// The checks that Anchor makes of accounts.

INLINE u64 check_owned(const Account *a, const Key *owner, u64 discriminator, u64 length) {
  if (!same_key(a->owner, owner)) FAIL(3007, "AccountOwnedByWrongProgram", "The given account is owned by a different program than expected");
  if (a->length < 8) FAIL(3001, "AccountDiscriminatorNotFound", "No 8 byte discriminator was found on the account");
  if (*(u64 *)a->data != discriminator) FAIL(3002, "AccountDiscriminatorMismatch", "8 byte discriminator did not match what was expected");
  if (a->length < length) FAIL(3003, "AccountDidNotDeserialize", "Failed to deserialize the account");
  return 0;
}

INLINE u64 check_signer(const Account *a) {
  if (!a->is_signer) FAIL(3010, "AccountNotSigner", "The given account did not sign");
  return 0;
}

INLINE u64 check_writable(const Account *a) {
  if (!a->is_writable) FAIL(2000, "ConstraintMut", "A mut constraint was violated");
  return 0;
}

INLINE u64 check_address(const Account *a, const Key *key) {
  if (!same_key(a->key, key)) FAIL(2012, "ConstraintAddress", "An address constraint was violated");
  return 0;
}

// An account that is new: owned by the program, and nothing written to it yet.
INLINE u64 check_new(const Account *a, const Key *owner, u64 length) {
  if (a->length < 8 || *(u64 *)a->data != 0) FAIL(2013, "ConstraintZero", "Expected zero account discriminant");
  if (!same_key(a->owner, owner)) FAIL(3007, "AccountOwnedByWrongProgram", "The given account is owned by a different program than expected");
  if (a->length < length) FAIL(3003, "AccountDidNotDeserialize", "Failed to deserialize the account");
  return 0;
}

// The discriminator of the store's feeds, of which ocr_2 reads the owner too.
#define TRANSMISSIONS 0x754981804245b360ULL /* account:Transmissions */
#define FEED_HEADER 200

#define STORE_ID {{ \
  0xf1, 0x4b, 0xf6, 0x5a, 0xd5, 0x6b, 0xd2, 0xba, 0x71, 0x5e, 0x45, 0x74, 0x2c, 0x23, 0x1f, 0x27, \
  0xd6, 0x36, 0x21, 0xcf, 0x5b, 0x77, 0x8f, 0x37, 0xc1, 0xa2, 0x48, 0x95, 0x1d, 0x17, 0x56, 0x02 }}
#define SUBMIT 0x30aa7fa2b566a658ULL /* global:submit */

#endif
