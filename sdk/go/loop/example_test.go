package loop_test

import (
	"context"
	"fmt"

	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// greeter is a product that only says what it is. Its other methods answer UNIMPLEMENTED.
type greeter struct {
	productv1loop.UnimplementedProductService
}

func (greeter) DescribeProduct(
	context.Context, *productv1.DescribeProductRequest,
) (*productv1.DescribeProductResponse, error) {
	return &productv1.DescribeProductResponse{
		Product: "greeter", OcrVersions: []productv1.OcrVersion{productv1.OcrVersion_OCR_VERSION_3},
		ProviderTypes: []string{"median"},
	}, nil
}

// newGreeter makes the plugin's root. A real one keeps the host, for its logger, its metrics and its services.
func newGreeter(*loop.Host) productv1loop.ProductService { return greeter{} }

// The main function of a plugin is one line:
//
//	func main() { productv1loop.ServeProduct(newGreeter) }
//
// Here the same plugin is served inside the process that calls it.
func Example() {
	conn, err := loophost.Inside(context.Background(), productv1loop.ProductPlugin(newGreeter))
	if err != nil {
		fmt.Println(err)
		return
	}
	description, err := productv1.NewProductServiceClient(conn).DescribeProduct(context.Background(),
		&productv1.DescribeProductRequest{})
	fmt.Println(description.GetProduct(), err)
	// Output: greeter <nil>
}
