package fault_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc/status"

	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/fault"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// greeter is a product that only says what it is.
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

// A plugin that panics in its first call of a method answers the second.
func ExampleIn() {
	plugin := productv1loop.ProductPlugin(func(*loop.Host) productv1loop.ProductService { return greeter{} })
	faults, err := fault.Parse("method=DescribeProduct,call=1,do=panic")
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := loophost.Inside(context.Background(), fault.In(plugin, faults...))
	if err != nil {
		fmt.Println(err)
		return
	}
	client := productv1.NewProductServiceClient(conn)
	for range 2 {
		_, err := client.DescribeProduct(context.Background(), &productv1.DescribeProductRequest{})
		fmt.Println(status.Code(err))
	}
	// Output:
	// Internal
	// OK
}
