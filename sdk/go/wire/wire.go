// Package wire is what both ends of the boundary between host and plugins share: the codec that lets frames pass
// undecoded, the rules of the contract's fields, deadlines and idempotency read from its options, the certificates of
// both sides, and the one seam through which every call is made (Bind) and served (Dispatcher).
//
// It knows descriptors and connections. It must not know processes, objects' lifetimes or any product.
package wire

const (
	// ObjectKey is the metadata key for the name of the called object.
	ObjectKey = "loop-object"
	// GenerationKey is the trailer in which a server says which generation of its plugin answered. An UNAVAILABLE
	// without it comes from the transport, one with it from the application.
	GenerationKey = "loop-generation"
	// DrainingKey is the trailer of calls that a draining server refused. They were not begun, so any of them may be
	// repeated in the next generation.
	DrainingKey = "loop-draining"
	// CookieKey is the environment variable that carries a plugin kind's magic cookie.
	CookieKey = "LOOP_PLUGIN"
	// LogLevelKey is the environment variable in which the host tells a plugin which log lines it wants.
	LogLevelKey = "LOOP_LOG_LEVEL"
	// HealthService is the name under which go-plugin's processes answer grpc.health.v1.
	HealthService = "plugin"
	// MaxMessageBytes bounds every message on both sides of every connection: 16 MiB, four times gRPC's default, because a
	// configuration with 31 oracles and an exposition of a large plugin fit many times over, and 40 messages in flight do
	// not hurt a small machine.
	MaxMessageBytes = 16 << 20
)
