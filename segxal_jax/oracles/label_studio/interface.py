"""The labelling configuration and the instructions of a project."""

from xml.sax import saxutils

from common_lib.class_table import CITYSCAPES, ClassTable
from fsnet_jax.report import palette

# Names of the controls; regions of the answer refer to them.
IMAGE, WHY, BRUSH, PROMPT = 'image', 'why', 'label', 'prompt'
PROMPT_LABEL = 'look here'
PROMPT_COLOR = palette.hexadecimal(palette.PROMPT_ON_CLASSES)

# Numbered by hand: Label Studio shows lists without their numbers.
INSTRUCTIONS = """
<p>The network's own labels lie over the image. Please correct them where the
cyan points are; everything else you may leave as it is.</p>
<br>
<p>1. Beside the image, the first map shows where the network is probably wrong,
with the same points, numbered. The maps below it say why: it cannot decide
between classes (entropy), or it looks at something near (proximity).</p>
<br>
<p>2. Choose a class, then paint. What you paint counts more than what was
there, so nothing need be erased first. To extend a region, select it in the
list and go on painting.</p>
<br>
<p>3. Erase what nobody can tell: pixels without a label are not learnt.</p>
<br>
<p>4. Submit even if nothing was wrong. Skip what cannot be labelled at all.</p>
"""


def labelling_config(table: ClassTable = CITYSCAPES) -> str:
  """The XML of the project: classes, colours, maps beside the image.

  Widths are fixed: the image keeps the size that it is first drawn at. What
  is free beside it is for the tools, which lie over it otherwise. Nobody need
  choose the prompts' label, so it is not among the classes.

  Args:
    table: of the classes.
  """
  classes = '\n'.join(
    f'        <Label value={saxutils.quoteattr(name)} '
    f'background="#{red:02x}{green:02x}{blue:02x}"/>'
    for name, (red, green, blue) in zip(table.names, table.colors, strict=True)
  )
  return f"""<View>
  <Header size="5" value="$title"/>
  <View style="display: flex">
    <View style="flex: 0 0 62%">
      <BrushLabels name="{BRUSH}" toName="{IMAGE}" opacity="0.55">
{classes}
      </BrushLabels>
      <Image name="{IMAGE}" value="$image" zoom="true" zoomControl="true"
             brightnessControl="true" contrastControl="true"
             smoothing="false" defaultZoom="fit" maxWidth="87%"/>
      <View style="display: none">
        <KeyPointLabels name="{PROMPT}" toName="{IMAGE}" strokeWidth="6"
                        opacity="1">
          <Label value="{PROMPT_LABEL}" background="{PROMPT_COLOR}"/>
        </KeyPointLabels>
      </View>
    </View>
    <View style="flex: 0 0 33%; margin-left: 5%">
      <Image name="{WHY}" value="$why" zoom="false" zoomControl="false"
             rotateControl="false"/>
      <Text name="reasons" value="$reasons"/>
    </View>
  </View>
</View>
"""
