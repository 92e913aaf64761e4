package config

// solanaIdle are the keys of the established node's Solana chains that this relayer does not heed.
var solanaIdle = []idle{
	{
		keys: []string{"TxRetryTimeout", "TxConfirmTimeout"},
		why:  "a transaction is sent again every TxRetryPeriod until it is confirmed or its blockhash is dead",
	},
	{
		keys: []string{"TxExpirationRebroadcast"},
		why: "what a blockhash outlived is always signed anew, but for transfers and for reports to which the chain has " +
			"a newer one",
	},
	{
		keys: []string{"TxRetentionTimeout"},
		why:  "a transmission that has ended is forgotten once it is counted",
	},
	{
		keys: []string{"LogPollerStartingLookback", "LogPollerCPIEventsEnabled", "LogPollerSlotsBatchSize"},
		why:  "this relayer reads accounts, which hold all that feeds need, and no logs",
	},
	{
		keys: []string{
			"Workflow.AcceptanceTimeout", "Workflow.ForwarderAddress", "Workflow.ForwarderState", "Workflow.FromAddress",
			"Workflow.GasLimitDefault", "Workflow.Local", "Workflow.PollPeriod", "Workflow.TxAcceptanceState",
		},
		why: "it is for jobs of kinds that this node does not run",
	},
	{
		keys: []string{"MultiNode.Enabled"},
		why:  "a chain always uses all of its nodes, each when those before it fail",
	},
	{
		keys: []string{
			"MultiNode.DeathDeclarationDelay", "MultiNode.EnforceRepeatableRead", "MultiNode.LeaseDuration",
			"MultiNode.PollFailureThreshold",
		},
		why: "every call chooses its node anew, the best of those that serve, and leaves one that fails at once",
	},
	{
		keys: []string{"MultiNode.PollInterval", "MultiNode.NewHeadsPollInterval"},
		why: "a node is asked for its newest slot every OCR2CachePollPeriod, or pushes it over WSURL, which tells also that " +
			"it lives",
	},
	{
		keys: []string{"MultiNode.NoNewFinalizedHeadsThreshold"},
		why:  "MultiNode.NodeNoNewHeadsThreshold alone tells a node that stands still",
	},
	{
		keys: []string{"MultiNode.NodeIsSyncingEnabled"},
		why:  "a node that is behind the others is asked last, whether or not it says that it synchronises",
	},
	{
		keys: []string{"MultiNode.VerifyChainID"},
		why:  "which chain a node serves is always verified",
	},
	{
		keys: []string{
			"MultiNode.FinalityDepth", "MultiNode.FinalityTagEnabled", "MultiNode.FinalizedBlockOffset",
			"MultiNode.FinalizedBlockPollInterval",
		},
		why: "Commitment says from when on a block counts",
	},
	{
		keys: []string{"MultiNode.FinalizedStateCheckFailureThreshold"},
		why:  "no node needs to have old state",
	},
	{
		keys: []string{"Nodes.IsLoadBalancedRPC"},
		why:  "every node is taken for one that may be several behind one address",
	},
}
