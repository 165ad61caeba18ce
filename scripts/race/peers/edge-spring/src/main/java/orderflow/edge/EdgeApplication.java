package orderflow.edge;

import com.fasterxml.jackson.annotation.JsonSetter;
import com.fasterxml.jackson.annotation.Nulls;
import com.fasterxml.jackson.databind.cfg.CoercionAction;
import com.fasterxml.jackson.databind.cfg.CoercionInputShape;
import com.fasterxml.jackson.databind.type.LogicalType;
import java.math.BigDecimal;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.jackson.Jackson2ObjectMapperBuilderCustomizer;
import org.springframework.context.annotation.Bean;

@SpringBootApplication
public class EdgeApplication {
    public static void main(String[] args) {
        SpringApplication.run(EdgeApplication.class, args);
    }

    /** A number is no text, a text no number, and null is no value: as the schema says. */
    @Bean
    Jackson2ObjectMapperBuilderCustomizer strictTypes() {
        return builder -> builder.deserializerByType(BigDecimal.class, new ExactDecimal()).postConfigurer(mapper -> {
            var text = mapper.coercionConfigFor(LogicalType.Textual);
            for (var shape : new CoercionInputShape[] {
                CoercionInputShape.Integer, CoercionInputShape.Float, CoercionInputShape.Boolean
            }) {
                text.setCoercion(shape, CoercionAction.Fail);
            }
            var number = mapper.coercionConfigFor(LogicalType.Float);
            number.setCoercion(CoercionInputShape.String, CoercionAction.Fail);
            number.setCoercion(CoercionInputShape.EmptyString, CoercionAction.Fail);
            mapper.setDefaultSetterInfo(JsonSetter.Value.forValueNulls(Nulls.FAIL, Nulls.FAIL));
        });
    }
}
