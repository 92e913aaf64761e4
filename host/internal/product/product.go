// Package product knows a product's description: the versions of OCR and the providers on which it runs, and the
// problems that it finds in jobs. It checks these answers against the contract, so that the rest of the host can rely
// on them.
//
// It must not know how a plugin is started or what is done with an answer; and it knows no product.
package product

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
)

// Client makes calls to a product. Calls without a deadline get the contract's.
type Client interface {
	DescribeProduct(context.Context, *productv1.DescribeProductRequest,
		...grpc.CallOption) (*productv1.DescribeProductResponse, error)
	ValidateProductJob(context.Context, *productv1.ValidateProductJobRequest,
		...grpc.CallOption) (*productv1.ValidateProductJobResponse, error)
}

// Product is a product with a valid description.
type Product struct {
	plugin      string
	client      Client
	description *productv1.DescribeProductResponse
}

// Ask asks a plugin for its description. If that is not usable, the error is one sentence for people.
func Ask(ctx context.Context, plugin string, client Client) (*Product, error) {
	description, err := client.DescribeProduct(ctx, &productv1.DescribeProductRequest{})
	if err != nil {
		return nil, fmt.Errorf("plugin %s did not describe its product: %s", plugin, status.Convert(err).Message())
	}
	if err := check(description); err != nil {
		return nil, fmt.Errorf("plugin %s describes a product that this node cannot use: %w; upgrade the plugin or the node",
			plugin, err)
	}
	return &Product{plugin: plugin, client: client, description: description}, nil
}

// Restore returns a product from Stored, while its plugin is down. Calls go to client, which may answer when the plugin
// is back.
func Restore(plugin string, client Client, stored []byte) (*Product, error) {
	description := &productv1.DescribeProductResponse{}
	err := proto.Unmarshal(stored, description)
	if err == nil {
		err = check(description) // another version of the node may have kept it
	}
	if err != nil {
		return nil, fmt.Errorf("the description that was kept of plugin %s cannot be used: %w", plugin, err)
	}
	return &Product{plugin: plugin, client: client, description: description}, nil
}

// Stored returns what Restore needs.
func (p *Product) Stored() ([]byte, error) { return proto.Marshal(p.description) }

// Plugin returns the name of the product's plugin, by which jobs ask for it.
func (p *Product) Plugin() string { return p.plugin }

// Versions returns the versions of OCR on which the product runs, the default first.
func (p *Product) Versions() []int {
	var all []int
	for _, v := range p.description.GetOcrVersions() {
		all = append(all, int(v))
	}
	return all
}

// ProviderTypes returns the types of provider with which the product runs, the default first.
func (p *Product) ProviderTypes() []string { return p.description.GetProviderTypes() }

// Bounds returns the limits of every instance of the product under OCR2.
func (p *Product) Bounds() types.ReportingPluginInfo {
	b := p.description.GetOcr2Bounds()
	return types.ReportingPluginInfo{
		Name:          p.description.GetProduct(),
		UniqueReports: b.GetUniqueReports(),
		Limits: types.ReportingPluginLimits{
			MaxQueryLength:       int(b.GetLimits().GetMaxQueryLength()),
			MaxObservationLength: int(b.GetLimits().GetMaxObservationLength()),
			MaxReportLength:      int(b.GetLimits().GetMaxReportLength()),
		},
	}
}

// check checks that a description has what the rest of the host relies on. The contract's rules on its fields were
// checked before.
func check(d *productv1.DescribeProductResponse) error {
	if strings.TrimSpace(d.GetProduct()) == "" {
		return fmt.Errorf("product is %q, and a product has a name", d.GetProduct())
	}
	if len(d.GetOcrVersions()) == 0 {
		return fmt.Errorf("ocr_versions is empty, and a product runs on one at least")
	}
	for at, v := range d.GetOcrVersions() {
		if v != productv1.OcrVersion_OCR_VERSION_2 && v != productv1.OcrVersion_OCR_VERSION_3 {
			return fmt.Errorf("ocr_versions[%d] is %s, which this node does not have; it has OCR_VERSION_2, OCR_VERSION_3",
				at, v)
		}
		if slices.Contains(d.GetOcrVersions()[:at], v) {
			return fmt.Errorf("ocr_versions[%d] is %s, which must be given once", at, v)
		}
	}
	if len(d.GetProviderTypes()) == 0 {
		return fmt.Errorf("provider_types is empty, and a product runs with one at least")
	}
	for at, t := range d.GetProviderTypes() {
		if t == "" || slices.Contains(d.GetProviderTypes()[:at], t) {
			return fmt.Errorf("provider_types[%d] is %q, which must be given and once", at, t)
		}
	}
	if err := toml.Unmarshal([]byte(d.GetReferenceToml()), &map[string]any{}); err != nil {
		return fmt.Errorf("reference_toml is not TOML: %s", strings.TrimPrefix(err.Error(), "toml: "))
	}
	return checkBounds(d)
}

// checkBounds checks what libocr is told while an instance under OCR2 has not answered yet.
func checkBounds(d *productv1.DescribeProductResponse) error {
	if !slices.Contains(d.GetOcrVersions(), productv1.OcrVersion_OCR_VERSION_2) {
		return nil
	}
	limits := d.GetOcr2Bounds().GetLimits()
	if limits == nil {
		return fmt.Errorf("ocr2_bounds is missing, and a product that runs on OCR2 has them")
	}
	for _, bound := range []struct {
		name        string
		have, limit uint32
	}{
		{"max_query_length", limits.GetMaxQueryLength(), types.MaxMaxQueryLength},
		{"max_observation_length", limits.GetMaxObservationLength(), types.MaxMaxObservationLength},
		{"max_report_length", limits.GetMaxReportLength(), types.MaxMaxReportLength},
	} {
		if bound.have > bound.limit {
			return fmt.Errorf("ocr2_bounds.limits.%s is %d bytes, and OCR2 has at most %d", bound.name, bound.have, bound.limit)
		}
	}
	return nil
}

// failed is the error of a call that the product did not answer.
func (p *Product) failed(what string, err error) error {
	return status.Errorf(status.Code(err), "plugin %s did not %s: %s", p.plugin, what, status.Convert(err).Message())
}

// nonsense is the error of an answer that makes no sense.
func (p *Product) nonsense(method, format string, arguments ...any) error {
	return status.Errorf(codes.Internal, "plugin %s: its answer to %s %s; upgrade the plugin", p.plugin, method,
		fmt.Sprintf(format, arguments...))
}
