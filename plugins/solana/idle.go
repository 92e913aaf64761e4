package solana

import "github.com/loop-plugins/loop/sdk/go/document"

// idle are the keys of the established node's Solana chains that this relayer does not heed.
var idle = []document.Idle{
	{
		Keys: []string{"TxRetryTimeout", "TxConfirmTimeout"},
		Why:  "a transaction is sent again every TxRetryPeriod until it is confirmed or its blockhash is dead",
	},
	{
		Keys: []string{"TxExpirationRebroadcast"},
		Why: "what a blockhash outlived is always signed anew, but for transfers and for reports to which the chain has " +
			"a newer one",
	},
	{
		Keys: []string{"TxRetentionTimeout"},
		Why:  "a transmission that has ended is forgotten once it is counted",
	},
	{
		Keys: []string{"LogPollerStartingLookback", "LogPollerCPIEventsEnabled", "LogPollerSlotsBatchSize"},
		Why:  "this relayer reads accounts, which hold all that feeds need, and no logs",
	},
	{
		Keys: []string{
			"Workflow.AcceptanceTimeout", "Workflow.ForwarderAddress", "Workflow.ForwarderState", "Workflow.FromAddress",
			"Workflow.GasLimitDefault", "Workflow.Local", "Workflow.PollPeriod", "Workflow.TxAcceptanceState",
		},
		Why: "it is for jobs of kinds that this node does not run",
	},
	{
		Keys: []string{"MultiNode.Enabled"},
		Why:  "a chain always uses all of its nodes, each when those before it fail",
	},
	{
		Keys: []string{
			"MultiNode.DeathDeclarationDelay", "MultiNode.EnforceRepeatableRead", "MultiNode.LeaseDuration",
			"MultiNode.PollFailureThreshold",
		},
		Why: "every call chooses its node anew, the best of those that serve, and leaves one that fails at once",
	},
	{
		Keys: []string{"MultiNode.PollInterval", "MultiNode.NewHeadsPollInterval"},
		Why: "a node is asked for its newest slot every OCR2CachePollPeriod, or pushes it over WSURL, which tells also " +
			"that it lives",
	},
	{
		Keys: []string{"MultiNode.NoNewFinalizedHeadsThreshold"},
		Why:  "MultiNode.NodeNoNewHeadsThreshold alone tells a node that stands still",
	},
	{
		Keys: []string{"MultiNode.NodeIsSyncingEnabled"},
		Why:  "a node that is behind the others is asked last, whether or not it says that it synchronises",
	},
	{
		Keys: []string{"MultiNode.VerifyChainID"},
		Why:  "which chain a node serves is always verified",
	},
	{
		Keys: []string{
			"MultiNode.FinalityDepth", "MultiNode.FinalityTagEnabled", "MultiNode.FinalizedBlockOffset",
			"MultiNode.FinalizedBlockPollInterval",
		},
		Why: "Commitment says from when on a block counts",
	},
	{
		Keys: []string{"MultiNode.FinalizedStateCheckFailureThreshold"},
		Why:  "no node needs to have old state",
	},
	{
		Keys: []string{"Nodes.IsLoadBalancedRPC"},
		Why:  "every node is taken for one that may be several behind one address",
	},
}
