package job

import "github.com/loop-plugins/loop/host/internal/pipeline"

// Product is what a job of a product's plugin (pluginType "plugin") says of it.
type Product struct {
	Name         string // of the product's plugin, in lower case
	OCRVersion   int    // 2 or 3
	ProviderType string // as the relayer's CreateProvider has it
	// ConfigJSON is the whole pluginConfig as JSON, for the product.
	ConfigJSON []byte
	// Pipelines are what the product may run, by name; the empty name is that of observationSource. No two share one.
	Pipelines []Pipeline
}

// Pipeline is one of a product's, by name.
type Pipeline struct {
	Name     string
	Key      string // of its text in the spec
	Source   string
	Pipeline *pipeline.Pipeline
}
