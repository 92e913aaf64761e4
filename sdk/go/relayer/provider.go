package relayer

// The types of providers that products ask for: CreateProviderRequest.provider_type, and what a relayer lists as its
// provider_types.
const (
	// ProviderMedian serves a median job.
	ProviderMedian = "median"
	// ProviderConfig follows a contract's configuration for a bootstrap job.
	ProviderConfig = "config"
)
