package product_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/host/internal/product"
)

// fake is not a product: it answers with what a test has put into it.
type fake struct {
	description *productv1.DescribeProductResponse
	job         *productv1.ValidateProductJobResponse
	err         error
}

func (f *fake) DescribeProduct(context.Context, *productv1.DescribeProductRequest,
	...grpc.CallOption) (*productv1.DescribeProductResponse, error) {
	return f.description, f.err
}

func (f *fake) ValidateProductJob(context.Context, *productv1.ValidateProductJobRequest,
	...grpc.CallOption) (*productv1.ValidateProductJobResponse, error) {
	return f.job, f.err
}

// described is a fake whose description holds.
func described() *fake {
	return &fake{description: &productv1.DescribeProductResponse{
		Product:       "reserves",
		OcrVersions:   []productv1.OcrVersion{productv1.OcrVersion_OCR_VERSION_3, productv1.OcrVersion_OCR_VERSION_2},
		ProviderTypes: []string{"median", "reserves"},
		ReferenceToml: "# Of what.\ncoin = 'USD'\n",
		Ocr2Bounds: &productv1.Ocr2Bounds{
			Limits:        &reportingv1.ReportingPluginLimits{MaxQueryLength: 1, MaxObservationLength: 2, MaxReportLength: 3},
			UniqueReports: true,
		},
	}}
}

func TestDescription(t *testing.T) {
	t.Parallel()
	p, err := product.Ask(t.Context(), "plug", described())
	if err != nil {
		t.Fatal(err)
	}
	stored, err := p.Stored()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := product.Restore("plug", described(), stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*product.Product{p, kept} {
		got := []any{p.Plugin(), p.Versions(), p.ProviderTypes(), p.Bounds()}
		want := []any{"plug", []int{3, 2}, []string{"median", "reserves"}, types.ReportingPluginInfo{
			Name: "reserves", UniqueReports: true,
			Limits: types.ReportingPluginLimits{MaxQueryLength: 1, MaxObservationLength: 2, MaxReportLength: 3},
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := product.Restore("plug", described(), []byte{1}); err == nil {
		t.Error("bytes that are not a description are one")
	}
}

// Each description that cannot be used is refused in one sentence, which says what is wrong with it.
func TestNonsense(t *testing.T) {
	t.Parallel()
	const before = "plugin plug describes a product that this node cannot use: "
	const after = "; upgrade the plugin or the node"
	for want, spoil := range map[string]func(*productv1.DescribeProductResponse){
		`product is " ", and a product has a name`: func(d *productv1.DescribeProductResponse) { d.Product = " " },
		`ocr_versions is empty, and a product runs on one at least`: func(d *productv1.DescribeProductResponse) {
			d.OcrVersions = nil
		},
		`ocr_versions[1] is 4, which this node does not have; it has OCR_VERSION_2, OCR_VERSION_3`: func(
			d *productv1.DescribeProductResponse) {
			d.OcrVersions[1] = 4
		},
		`ocr_versions[1] is OCR_VERSION_3, which must be given once`: func(d *productv1.DescribeProductResponse) {
			d.OcrVersions[1] = productv1.OcrVersion_OCR_VERSION_3
		},
		`provider_types is empty, and a product runs with one at least`: func(d *productv1.DescribeProductResponse) {
			d.ProviderTypes = nil
		},
		`provider_types[1] is "median", which must be given and once`: func(d *productv1.DescribeProductResponse) {
			d.ProviderTypes[1] = "median"
		},
		`reference_toml is not TOML: expected '=' after key`: func(d *productv1.DescribeProductResponse) {
			d.ReferenceToml = "coin"
		},
		`ocr2_bounds is missing, and a product that runs on OCR2 has them`: func(d *productv1.DescribeProductResponse) {
			d.Ocr2Bounds = nil
		},
		`ocr2_bounds.limits.max_report_length is 268435457 bytes, and OCR2 has at most 268435456`: func(
			d *productv1.DescribeProductResponse) {
			d.Ocr2Bounds.Limits.MaxReportLength = types.MaxMaxReportLength + 1
		},
	} {
		f := described()
		spoil(f.description)
		_, err := product.Ask(t.Context(), "plug", f)
		if err == nil {
			t.Errorf("nothing is wrong; want %s", want)
			continue
		}
		if diff := cmp.Diff(before+want+after, err.Error()); diff != "" {
			t.Error(diff)
		}
	}
	_, err := product.Ask(t.Context(), "plug", &fake{err: status.Error(codes.Unavailable, "it is away")})
	if diff := cmp.Diff("plugin plug did not describe its product: it is away", err.Error()); diff != "" {
		t.Error(diff)
	}
	onOCR3 := described()
	onOCR3.description.OcrVersions, onOCR3.description.Ocr2Bounds = onOCR3.description.OcrVersions[:1], nil
	if _, err := product.Ask(t.Context(), "plug", onOCR3); err != nil {
		t.Error(err)
	}
}

// A problem lies where the job says something to the product.
func TestJobs(t *testing.T) {
	t.Parallel()
	f := described()
	p, err := product.Ask(t.Context(), "plug", f)
	if err != nil {
		t.Fatal(err)
	}
	request := &productv1.ValidateProductJobRequest{PluginConfigJson: []byte(`{"coins":["USD"],"window":{"size":1}}`)}
	for path, want := range map[string]string{
		"": "", "pluginConfig": "", "pluginConfig.coins[0]": "", "pluginConfig.window.size": "", "pluginConfig.missing": "",
		"observationSource":     "",
		"pluginConfig.coins[1]": "where there is nothing",
		"relayConfig.chainID":   "a product checks pluginConfig and observationSource",
		"pluginConfigs":         "a product checks pluginConfig and observationSource",
	} {
		f.job = &productv1.ValidateProductJobResponse{Warnings: []*pluginv1.Problem{{Path: path, Message: "m"}}}
		response, err := p.ValidateJob(t.Context(), request)
		switch {
		case want == "" && (err != nil || len(response.GetWarnings()) != 1):
			t.Errorf("%q: %v", path, err)
		case want != "":
			expected := `plugin plug: its answer to ValidateProductJob names a problem at "` + path + `", ` +
				map[bool]string{true: "and ", false: ""}[want[0] == 'a'] + want + ` (m); upgrade the plugin`
			if diff := cmp.Diff(expected, status.Convert(err).Message()); diff != "" {
				t.Error(diff)
			}
		}
	}
	f.err = status.Error(codes.Unavailable, "it is away")
	if _, err = p.ValidateJob(t.Context(), request); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}
