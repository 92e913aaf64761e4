// The errors of transactions and of the interface, under the names, numbers and sentences that a validator uses.

// LiteSVM numbers the errors without fields; these are their names, in its order.
const TRANSACTION_ERRORS = [
  'AccountInUse', 'AccountLoadedTwice', 'AccountNotFound', 'ProgramAccountNotFound', 'InsufficientFundsForFee',
  'InvalidAccountForFee', 'AlreadyProcessed', 'BlockhashNotFound', 'CallChainTooDeep', 'MissingSignatureForFee',
  'InvalidAccountIndex', 'SignatureFailure', 'InvalidProgramForExecution', 'SanitizeFailure', 'ClusterMaintenance',
  'AccountBorrowOutstanding', 'WouldExceedMaxBlockCostLimit', 'UnsupportedVersion', 'InvalidWritableAccount',
  'WouldExceedMaxAccountCostLimit', 'WouldExceedAccountDataBlockLimit', 'TooManyAccountLocks',
  'AddressLookupTableNotFound', 'InvalidAddressLookupTableOwner', 'InvalidAddressLookupTableData',
  'InvalidAddressLookupTableIndex', 'InvalidRentPayingAccount', 'WouldExceedMaxVoteCostLimit',
  'WouldExceedAccountDataTotalLimit', 'MaxLoadedAccountsDataSizeExceeded', 'ResanitizationNeeded',
  'InvalidLoadedAccountsDataSizeLimit', 'UnbalancedTransaction', 'ProgramCacheHitMaxLimit', 'CommitCancelled',
];

const INSTRUCTION_ERRORS = [
  'GenericError', 'InvalidArgument', 'InvalidInstructionData', 'InvalidAccountData', 'AccountDataTooSmall',
  'InsufficientFunds', 'IncorrectProgramId', 'MissingRequiredSignature', 'AccountAlreadyInitialized',
  'UninitializedAccount', 'UnbalancedInstruction', 'ModifiedProgramId', 'ExternalAccountLamportSpend',
  'ExternalAccountDataModified', 'ReadonlyLamportChange', 'ReadonlyDataModified', 'DuplicateAccountIndex',
  'ExecutableModified', 'RentEpochModified', 'NotEnoughAccountKeys', 'AccountDataSizeChanged', 'AccountNotExecutable',
  'AccountBorrowFailed', 'AccountBorrowOutstanding', 'DuplicateAccountOutOfSync', 'InvalidError',
  'ExecutableDataModified', 'ExecutableLamportChange', 'ExecutableAccountNotRentExempt', 'UnsupportedProgramId',
  'CallDepth', 'MissingAccount', 'ReentrancyNotAllowed', 'MaxSeedLengthExceeded', 'InvalidSeeds', 'InvalidRealloc',
  'ComputationalBudgetExceeded', 'PrivilegeEscalation', 'ProgramEnvironmentSetupFailure', 'ProgramFailedToComplete',
  'ProgramFailedToCompile', 'Immutable', 'IncorrectAuthority', 'AccountNotRentExempt', 'InvalidAccountOwner',
  'ArithmeticOverflow', 'UnsupportedSysvar', 'IllegalOwner', 'MaxAccountsDataAllocationsExceeded',
  'MaxAccountsExceeded', 'MaxInstructionTraceLengthExceeded', 'BuiltinProgramsMustConsumeComputeUnits', 'BorshIoError',
];

const SENTENCES = {
  AccountInUse: 'Account in use',
  AccountLoadedTwice: 'Account loaded twice',
  AccountNotFound: 'Attempt to debit an account but found no record of a prior credit.',
  ProgramAccountNotFound: 'Attempt to load a program that does not exist',
  InsufficientFundsForFee: 'Insufficient funds for fee',
  InvalidAccountForFee: 'This account may not be used to pay transaction fees',
  AlreadyProcessed: 'This transaction has already been processed',
  BlockhashNotFound: 'Blockhash not found',
  SignatureFailure: 'Transaction did not pass signature verification',
  InvalidProgramForExecution: 'This program may not be used for executing instructions',
  SanitizeFailure: 'Transaction failed to sanitize accounts offsets correctly',
};

// A JSON-RPC error.
export class Failure extends Error {
  constructor(code, message, data) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

export const invalid = (message) => new Failure(-32602, message);

// What a validator writes as the err of a transaction that LiteSVM failed: a name, or {"InstructionError":[1,{"Custom":6003}]}.
export function transactionError(err) {
  if (typeof err === 'number') return TRANSACTION_ERRORS[err] ?? `Unknown${err}`;
  const kind = err.constructor.name.replace(/^TransactionError/, '');
  switch (kind) {
    case 'InstructionError':
      return { InstructionError: [err.index, instructionError(err.err())] };
    case 'DuplicateInstruction':
      return { DuplicateInstruction: err.index };
    default: // InsufficientFundsForRent, ProgramExecutionTemporarilyRestricted
      return { [kind]: { account_index: err.accountIndex } };
  }
}

function instructionError(err) {
  if (typeof err === 'number') return INSTRUCTION_ERRORS[err] ?? `Unknown${err}`;
  return 'code' in err ? { Custom: err.code } : { BorshIoError: err.msg };
}

// Whether a transaction that failed with err is in a block all the same, and has paid its fee.
export const landed = (err) => typeof err === 'object' && ('InstructionError' in err || 'InsufficientFundsForRent' in err);

// The sentence in which a validator tells people of err.
export function sentence(err) {
  if (typeof err === 'string') return SENTENCES[err] ?? err;
  if (!('InstructionError' in err)) return JSON.stringify(err);
  const [index, cause] = err.InstructionError;
  let text = cause;
  if (typeof cause === 'object') {
    text = 'Custom' in cause ? `custom program error: 0x${cause.Custom.toString(16)}` : `Failed to serialize or deserialize account data: ${cause.BorshIoError}`;
  }
  return `Error processing Instruction ${index}: ${text}`;
}
