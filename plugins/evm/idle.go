package evm

import "github.com/loop-plugins/loop/sdk/go/document"

// idle are the keys of the established node's EVM chains that this relayer does not heed.
var idle = []document.Idle{
	{
		Keys: []string{"AutoCreateKey"},
		Why:  "a node makes its keys when it first starts, and loop keys create makes more",
	},
	{
		Keys: []string{"BackupLogPollerBlockDelay", "LogKeepBlocksDepth", "LogPrunePageSize"},
		Why:  "events are read from the chain when they are needed and none are stored",
	},
	{
		Keys: []string{"BalanceMonitor.Enabled"},
		Why:  "the balance of each account that transmits is read, for the metric loop_relayer_account_balance",
	},
	{
		Keys: []string{"BlockBackfillDepth", "BlockBackfillSkip"},
		Why:  "LogBackfillDepth says how many blocks back events are read",
	},
	{
		Keys: []string{"LinkContractAddress", "MinContractPayment"},
		Why:  "no job of this node is paid by its requester, and a feed's contract knows its own token",
	},
	{
		Keys: []string{"LogBroadcasterEnabled"},
		Why:  "events come over WSURL where a node has one, and are polled otherwise",
	},
	{
		Keys: []string{"MinIncomingConfirmations"},
		Why: "no job of this node is started by an event, and a new configuration of a contract waits for " +
			"OCR2.ContractConfirmations",
	},
	{
		Keys: []string{"NoNewFinalizedHeadsThreshold"},
		Why:  "NoNewHeadsThreshold alone tells a node that stands still",
	},
	{
		Keys: []string{"NonceAutoSync"},
		Why:  "the next nonce is always read from the chain",
	},
	{
		Keys: []string{"OperatorFactoryAddress"},
		Why:  forwarders,
	},
	{
		Keys: []string{"Transactions.ForwardersEnabled"},
		Why:  forwarders, Off: true,
	},
	{
		Keys: []string{
			"GasEstimator.BlockHistory.BatchSize", "GasEstimator.BlockHistory.CheckInclusionBlocks",
			"GasEstimator.BlockHistory.CheckInclusionPercentile", "GasEstimator.BlockHistory.EIP1559FeeCapBufferBlocks",
			"GasEstimator.FeeHistory.CacheTimeout",
		},
		Why: "prices are asked for once for each block, and a first attempt offers twice the base fee",
	},
	{
		Keys: []string{"GasEstimator.BumpTxDepth"},
		Why:  "only the transaction with the lowest nonce can be held up by its fee, and no other's is raised",
	},
	{
		Keys: []string{
			"GasEstimator.DAOracle.CustomGasPriceCalldata", "GasEstimator.DAOracle.OracleAddress",
			"GasEstimator.DAOracle.OracleType",
		},
		Why: "fees for data on another chain go by what its nodes estimate; no ceiling of this relayer has them",
	},
	{
		Keys: []string{
			"GasEstimator.LimitJobType.DR", "GasEstimator.LimitJobType.FM", "GasEstimator.LimitJobType.Keeper",
			"GasEstimator.LimitJobType.OCR", "GasEstimator.LimitJobType.VRF",
		},
		Why: "it is for jobs of kinds that this node does not run",
	},
	{
		Keys: []string{"GasEstimator.LimitTransfer"},
		Why:  "a node estimates the gas of a transfer",
	},
	{
		Keys: []string{"GasEstimator.SenderAddress"},
		Why:  "gas is estimated for the account that sends",
	},
	{
		Keys: []string{
			"Transactions.AutoPurge.DetectionApiUrl", "Transactions.AutoPurge.Enabled", "Transactions.AutoPurge.MinAttempts",
			"Transactions.AutoPurge.Threshold",
		},
		Why: "what a chain refuses for ever gives its nonce up by itself",
	},
	{
		Keys: []string{"Transactions.MaxQueued"},
		Why:  "of each feed the newest report alone waits",
	},
	{
		Keys: []string{"Transactions.ConfirmationTimeout", "Transactions.ReaperInterval", "Transactions.ReaperThreshold"},
		Why:  "a transaction is kept until it is final and then forgotten",
	},
	{
		Keys: []string{
			"Transactions.TransactionManagerV2.BlockTime", "Transactions.TransactionManagerV2.CustomURL",
			"Transactions.TransactionManagerV2.DualBroadcast", "Transactions.TransactionManagerV2.Enabled",
		},
		Why: "there is one manager of transactions",
	},
	{
		Keys: []string{"RPCBlockQueryDelay"},
		Why:  "nothing here reads a block that a node may not have yet",
	},
	{
		Keys: []string{"SafeDepth", "SafeTagSupported"},
		Why:  "this relayer reads the newest and the finalized block, and none between them",
	},
	{
		Keys: []string{
			"HeadTracker.FinalityTagBypass", "HeadTracker.HistoryDepth", "HeadTracker.MaxAllowedFinalityDepth",
			"HeadTracker.MaxBufferSize", "HeadTracker.PersistenceBatchSize", "HeadTracker.PersistenceEnabled",
			"HeadTracker.SamplingInterval",
		},
		Why: "no blocks are kept: what a transaction or a contract needs is read from the chain",
	},
	{
		Keys: []string{
			"OCR.ContractConfirmations", "OCR.ContractTransmitterTransmitTimeout", "OCR.DatabaseTimeout",
			"OCR.DeltaCJitterOverride", "OCR.DeltaCOverride", "OCR.ObservationGracePeriod",
		},
		Why: "it is for jobs of OCR1, which this node does not run; those of OCR2 heed [OCR2]",
	},
	{
		Keys: []string{
			"FlagsContractAddress", "OCR2.Automation.GasLimit", "Workflow.AcceptanceTimeout", "Workflow.ForwarderAddress",
			"Workflow.FromAddress", "Workflow.GasLimitDefault", "Workflow.PollPeriod", "Workflow.TxAcceptanceState",
		},
		Why: "it is for jobs of kinds that this node does not run",
	},
	{
		Keys: []string{
			"NodePool.DeathDeclarationDelay", "NodePool.EnforceRepeatableRead", "NodePool.LeaseDuration",
			"NodePool.PollFailureThreshold",
		},
		Why: "every call chooses its node anew, the best of those that serve, and leaves one that fails at once",
	},
	{
		Keys: []string{"NodePool.ExternalRequestMaxResponseSize"},
		Why:  "an answer may always have 64 MiB",
	},
	{
		Keys: []string{"NodePool.FinalizedBlockPollInterval"},
		Why:  "the finalized block is read whenever transactions under way are looked at",
	},
	{
		Keys: []string{"NodePool.FinalizedStateCheckFailureThreshold", "NodePool.HistoricalBalanceCheckAddress"},
		Why:  "no node needs to have old state",
	},
	{
		Keys: []string{"NodePool.NodeIsSyncingEnabled"},
		Why:  "a node that is behind the others is asked last, whether or not it says that it synchronises",
	},
	{
		Keys: []string{"NodePool.PollInterval"},
		Why:  "a node is asked for its newest block every EVM.PollInterval, which tells also that it lives",
	},
	{
		Keys: []string{"NodePool.VerifyChainID"},
		Why:  "which chain a node serves is always verified",
	},
	{
		Keys: []string{
			"NodePool.Errors.FinalizedStateUnavailable", "NodePool.Errors.Fatal", "NodePool.Errors.InsufficientEth",
			"NodePool.Errors.L2FeeTooHigh", "NodePool.Errors.L2FeeTooLow", "NodePool.Errors.L2Full",
			"NodePool.Errors.LimitReached", "NodePool.Errors.MissingBlocks", "NodePool.Errors.NonceTooHigh",
			"NodePool.Errors.NonceTooLow", "NodePool.Errors.ReplacementTransactionUnderpriced",
			"NodePool.Errors.ServiceUnavailable", "NodePool.Errors.TerminallyUnderpriced",
			"NodePool.Errors.TooManyResults", "NodePool.Errors.TransactionAlreadyInMempool",
			"NodePool.Errors.TransactionAlreadyMined", "NodePool.Errors.TxFeeExceedsCap",
		},
		Why: "the relayer has the words of the clients and providers that are known built in",
	},
	{
		Keys: []string{"Nodes.HTTPURLExtraWrite"},
		Why:  "to send over another address too, add it as a node with SendOnly = true",
	},
	{
		Keys: []string{"Nodes.IsLoadBalancedRPC"},
		Why:  "every node is taken for one that may be several behind one address",
	},
}

const forwarders = "this relayer sends from its accounts and through no forwarder"
