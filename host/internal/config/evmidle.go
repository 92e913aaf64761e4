package config

// evmIdle are the keys of the established node's EVM chains that this relayer does not heed.
var evmIdle = []idle{
	{
		keys: []string{"AutoCreateKey"},
		why:  "a node makes its keys when it first starts, and loop keys create makes more",
	},
	{
		keys: []string{"BackupLogPollerBlockDelay", "LogKeepBlocksDepth", "LogPrunePageSize"},
		why:  "events are read from the chain when they are needed and none are stored",
	},
	{
		keys: []string{"BalanceMonitor.Enabled"},
		why:  "the balance of an account is read when it is asked for",
	},
	{
		keys: []string{"BlockBackfillDepth", "BlockBackfillSkip"},
		why:  "LogBackfillDepth says how many blocks back events are read",
	},
	{
		keys: []string{"LinkContractAddress", "MinContractPayment"},
		why:  "no job of this node is paid by its requester, and a feed's contract knows its own token",
	},
	{
		keys: []string{"LogBroadcasterEnabled"},
		why:  "events come over WSURL where a node has one, and are polled otherwise",
	},
	{
		keys: []string{"MinIncomingConfirmations"},
		why: "no job of this node is started by an event, and a new configuration of a contract waits for " +
			"OCR2.ContractConfirmations",
	},
	{
		keys: []string{"NoNewFinalizedHeadsThreshold"},
		why:  "NoNewHeadsThreshold alone tells a node that stands still",
	},
	{
		keys: []string{"NonceAutoSync"},
		why:  "the next nonce is always read from the chain",
	},
	{
		keys: []string{"OperatorFactoryAddress"},
		why:  forwarders,
	},
	{
		keys: []string{"Transactions.ForwardersEnabled"},
		why:  forwarders, off: true,
	},
	{
		keys: []string{
			"GasEstimator.BlockHistory.BatchSize", "GasEstimator.BlockHistory.CheckInclusionBlocks",
			"GasEstimator.BlockHistory.CheckInclusionPercentile", "GasEstimator.BlockHistory.EIP1559FeeCapBufferBlocks",
			"GasEstimator.FeeHistory.CacheTimeout",
		},
		why: "prices are asked for once for each block, and a first attempt offers twice the base fee where FeeCapDefault is " +
			"below that",
	},
	{
		keys: []string{"GasEstimator.BumpTxDepth"},
		why:  "only the transaction with the lowest nonce can be held up by its fee, and no other's is raised",
	},
	{
		keys: []string{
			"GasEstimator.DAOracle.CustomGasPriceCalldata", "GasEstimator.DAOracle.OracleAddress",
			"GasEstimator.DAOracle.OracleType",
		},
		why: "fees for data on another chain go by what its nodes estimate; no ceiling of this relayer has them",
	},
	{
		keys: []string{
			"GasEstimator.LimitJobType.DR", "GasEstimator.LimitJobType.FM", "GasEstimator.LimitJobType.Keeper",
			"GasEstimator.LimitJobType.OCR", "GasEstimator.LimitJobType.VRF",
		},
		why: "it is for jobs of kinds that this node does not run",
	},
	{
		keys: []string{"GasEstimator.LimitTransfer"},
		why:  "a node estimates the gas of a transfer",
	},
	{
		keys: []string{"GasEstimator.SenderAddress"},
		why:  "gas is estimated for the account that sends",
	},
	{
		keys: []string{
			"Transactions.AutoPurge.DetectionApiUrl", "Transactions.AutoPurge.Enabled", "Transactions.AutoPurge.MinAttempts",
			"Transactions.AutoPurge.Threshold",
		},
		why: "what a chain refuses for ever gives its nonce up by itself",
	},
	{
		keys: []string{"Transactions.MaxQueued"},
		why:  "of each feed the newest report alone waits",
	},
	{
		keys: []string{"Transactions.ConfirmationTimeout", "Transactions.ReaperInterval", "Transactions.ReaperThreshold"},
		why:  "a transaction is kept until it is final and then forgotten",
	},
	{
		keys: []string{
			"Transactions.TransactionManagerV2.BlockTime", "Transactions.TransactionManagerV2.CustomURL",
			"Transactions.TransactionManagerV2.DualBroadcast", "Transactions.TransactionManagerV2.Enabled",
		},
		why: "there is one manager of transactions",
	},
	{
		keys: []string{"RPCBlockQueryDelay"},
		why:  "nothing here reads a block that a node may not have yet",
	},
	{
		keys: []string{"SafeDepth", "SafeTagSupported"},
		why:  "this relayer reads the newest and the finalized block, and none between them",
	},
	{
		keys: []string{
			"HeadTracker.FinalityTagBypass", "HeadTracker.HistoryDepth", "HeadTracker.MaxAllowedFinalityDepth",
			"HeadTracker.MaxBufferSize", "HeadTracker.PersistenceBatchSize", "HeadTracker.PersistenceEnabled",
			"HeadTracker.SamplingInterval",
		},
		why: "no blocks are kept: what a transaction or a contract needs is read from the chain",
	},
	{
		keys: []string{
			"OCR.ContractConfirmations", "OCR.ContractTransmitterTransmitTimeout", "OCR.DatabaseTimeout",
			"OCR.DeltaCJitterOverride", "OCR.DeltaCOverride", "OCR.ObservationGracePeriod",
		},
		why: "it is for jobs of OCR1, which this node does not run; those of OCR2 heed [OCR2]",
	},
	{
		keys: []string{
			"FlagsContractAddress", "OCR2.Automation.GasLimit", "Workflow.AcceptanceTimeout", "Workflow.ForwarderAddress",
			"Workflow.FromAddress", "Workflow.GasLimitDefault", "Workflow.PollPeriod", "Workflow.TxAcceptanceState",
		},
		why: "it is for jobs of kinds that this node does not run",
	},
	{
		keys: []string{
			"NodePool.DeathDeclarationDelay", "NodePool.EnforceRepeatableRead", "NodePool.LeaseDuration",
			"NodePool.PollFailureThreshold",
		},
		why: "every call chooses its node anew, the best of those that serve, and leaves one that fails at once",
	},
	{
		keys: []string{"NodePool.ExternalRequestMaxResponseSize"},
		why:  "an answer may always have 64 MiB",
	},
	{
		keys: []string{"NodePool.FinalizedBlockPollInterval"},
		why:  "the finalized block is read whenever transactions under way are looked at",
	},
	{
		keys: []string{"NodePool.FinalizedStateCheckFailureThreshold", "NodePool.HistoricalBalanceCheckAddress"},
		why:  "no node needs to have old state",
	},
	{
		keys: []string{"NodePool.NodeIsSyncingEnabled"},
		why:  "a node that is behind the others is asked last, whether or not it says that it synchronises",
	},
	{
		keys: []string{"NodePool.PollInterval"},
		why:  "a node is asked for its newest block every EVM.PollInterval, which tells also that it lives",
	},
	{
		keys: []string{"NodePool.VerifyChainID"},
		why:  "which chain a node serves is always verified",
	},
	{
		keys: []string{
			"NodePool.Errors.FinalizedStateUnavailable", "NodePool.Errors.Fatal", "NodePool.Errors.InsufficientEth",
			"NodePool.Errors.L2FeeTooHigh", "NodePool.Errors.L2FeeTooLow", "NodePool.Errors.L2Full",
			"NodePool.Errors.LimitReached", "NodePool.Errors.MissingBlocks", "NodePool.Errors.NonceTooHigh",
			"NodePool.Errors.NonceTooLow", "NodePool.Errors.ReplacementTransactionUnderpriced",
			"NodePool.Errors.ServiceUnavailable", "NodePool.Errors.TerminallyUnderpriced",
			"NodePool.Errors.TooManyResults", "NodePool.Errors.TransactionAlreadyInMempool",
			"NodePool.Errors.TransactionAlreadyMined", "NodePool.Errors.TxFeeExceedsCap",
		},
		why: "the relayer has the words of the clients and providers that are known built in",
	},
	{
		keys: []string{"Nodes.HTTPURLExtraWrite"},
		why:  "to send over another address too, add it as a node with SendOnly = true",
	},
	{
		keys: []string{"Nodes.IsLoadBalancedRPC"},
		why:  "every node is taken for one that may be several behind one address",
	},
}

const forwarders = "this relayer sends from its accounts and through no forwarder"
